package plugins

import (
	"strings"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// ImageLocality prefers nodes that have the pod's images, the more so the larger these are.
type ImageLocality struct{}

func (ImageLocality) Name() string { return "ImageLocality" }

// Between these sizes the score grows from 0 to 100; the upper one counts once a container.
const (
	minImageBytes = 23 * 1024 * 1024
	maxImageBytes = 1000 * 1024 * 1024
)

// PrepareScore counts on how many nodes each image is: one that is everywhere is no reason to prefer a node, and one
// that is on a single node should not draw every pod there.
func (ImageLocality) PrepareScore(c *Cycle, _ []*snapshot.Node) Score {
	s := imageScore{spread: map[string]float64{}}
	add := func(image string) {
		name := normalizedImage(image)
		s.images = append(s.images, name)
		if _, counted := s.spread[name]; counted {
			return
		}
		on := 0
		for _, n := range c.Snapshot.Nodes {
			if _, ok := n.Images[name]; ok {
				on++
			}
		}
		s.spread[name] = float64(on) / float64(max(1, len(c.Snapshot.Nodes)))
	}
	for _, container := range c.Pod.Spec.InitContainers {
		add(container.Image)
	}
	for _, container := range c.Pod.Spec.Containers {
		add(container.Image)
	}
	for _, share := range s.spread {
		if share > 0 {
			return s
		}
	}
	return nil
}

type imageScore struct {
	unscaled
	images []string
	spread map[string]float64
}

func (s imageScore) Score(n *snapshot.Node) int64 {
	var sum int64
	for _, image := range s.images {
		sum += int64(float64(n.Images[image]) * s.spread[image])
	}
	top := int64(maxImageBytes) * int64(len(s.images))
	sum = min(max(sum, minImageBytes), top)
	return 100 * (sum - minImageBytes) / (top - minImageBytes)
}

// normalizedImage adds the tag that an image without one has.
func normalizedImage(name string) string {
	if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		return name + ":latest"
	}
	return name
}
