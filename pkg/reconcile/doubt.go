package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
)

// Newest asks the server, past the cache, for the highest resourceVersion among the objects that a lost write may have made; ""
// when there are none.
type Newest func(ctx context.Context) (string, error)

// Unsure reports that the answer to a write on behalf of key was lost, so that nobody knows whether it was carried out. Before key
// is reconciled again, newest is asked, and key is held until the store of inf has got so far. inf must have been given to Watch.
func (c *Controller) Unsure(inf cache.SharedIndexInformer, key Key, newest Newest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doubts == nil {
		c.doubts = map[Key]map[cache.SharedIndexInformer]Newest{}
	}
	if c.doubts[key] == nil {
		c.doubts[key] = map[cache.SharedIndexInformer]Newest{}
	}
	c.doubts[key][inf] = newest
}

// Refused tells that err is the server's answer that it did not carry a write out. After any other error it may have.
func Refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != http.StatusRequestTimeout
}

// resolve turns what is unsure about key into holds of the gate.
func (c *Controller) resolve(ctx context.Context, key Key) error {
	c.mu.Lock()
	doubts := c.doubts[key]
	delete(c.doubts, key)
	c.mu.Unlock()
	for inf, newest := range doubts {
		version, err := newest(ctx)
		if err != nil {
			c.Unsure(inf, key, newest)
			return fmt.Errorf("finding out what became of a write without an answer: %w", err)
		}
		if rv, ok := parseVersion(version); ok {
			c.gate.wrote(c.gate.source(inf), key, rv)
		}
	}
	return nil
}
