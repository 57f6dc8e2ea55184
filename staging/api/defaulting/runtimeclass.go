package defaulting

import (
	nodev1 "k8s.io/api/node/v1"
)

// RuntimeClass fills a runtime class.
func RuntimeClass(c *nodev1.RuntimeClass) {
	if c.Overhead != nil {
		quantities(c.Overhead.PodFixed)
	}
}
