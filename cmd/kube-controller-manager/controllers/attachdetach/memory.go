package attachdetach

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what is kept of a node from one look to the next. A node is looked at by one worker at a time.
type memory struct {
	// idle is since when an attachment has not been needed.
	idle map[string]time.Time
	// outcome is what was last told of an attachment, blocked what a pod was last told of a volume that another node has.
	outcome map[string]string
	blocked map[types.UID]string
}

// recall gives the node's memory without what is over: reservations that the cache shows (the node was held until it has this
// controller's own writes), attachments that are gone or needed again.
func (c *Controller) recall(s Situation) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	for volume, node := range c.placed {
		if node == s.Name {
			delete(c.placed, volume)
		}
	}
	old := c.memories[s.Name]
	if old == nil {
		old = &memory{}
	}
	if len(s.Have)+len(s.Wanted) == 0 {
		delete(c.memories, s.Name)
		return old
	}
	m := &memory{idle: map[string]time.Time{}, outcome: map[string]string{}, blocked: map[types.UID]string{}}
	wanted := map[string]bool{}
	for _, v := range s.Wanted {
		name := NameOf(v.PV.Spec.CSI, s.Name)
		wanted[name] = true
		if outcome, known := old.outcome[name]; known {
			m.outcome[name] = outcome
		}
		for _, pod := range v.Pods {
			if message, known := old.blocked[pod.UID]; known {
				m.blocked[pod.UID] = message
			}
		}
	}
	for _, held := range s.Have {
		if name := held.Attachment.Name; !wanted[name] {
			m.idle[name] = c.options.Clock.Now()
			if since, known := old.idle[name]; known {
				m.idle[name] = since
			}
		}
	}
	c.memories[s.Name] = m
	return m
}

// changed notes an outcome; false when it was told. What this process finds attached was told before it started.
func (m *memory) changed(attachment, outcome string) bool {
	before, known := m.outcome[attachment]
	m.outcome[attachment] = outcome
	return before != outcome && (known || outcome != attached)
}
