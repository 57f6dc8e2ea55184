package attachdetach

import (
	v1 "k8s.io/api/core/v1"
)

// attached and attaching are outcomes in a node's memory; the others are failures.
const (
	attached  = "attached"
	attaching = "attaching"
)

// tell says on the pods that an attachment succeeded or failed, or that another node has the volume; each once.
func (c *Controller) tell(s Situation, plan Plan, m *memory) {
	for _, a := range plan.Attach {
		m.outcome[a.Name] = attaching
	}
	for _, v := range plan.Blocked {
		c.tellBlocked(s, v, m)
	}
	for _, v := range s.Wanted {
		held, there := s.Have[v.PV.Name]
		if !there || held.Attachment.DeletionTimestamp != nil {
			continue
		}
		a := held.Attachment
		switch failure := a.Status.AttachError; {
		case a.Status.Attached && m.changed(a.Name, attached):
			for _, pod := range v.Pods {
				c.recorder.Eventf(pod, v1.EventTypeNormal, "SuccessfulAttachVolume", "AttachVolume.Attach succeeded for volume %q ", v.PV.Name)
			}
		case !a.Status.Attached && failure != nil && m.changed(a.Name, failure.Time.String()+failure.Message):
			for _, pod := range v.Pods {
				c.recorder.Eventf(pod, v1.EventTypeWarning, "FailedAttachVolume", "AttachVolume.Attach failed for volume %q : %s", v.PV.Name, failure.Message)
			}
		}
	}
}

func (c *Controller) tellBlocked(s Situation, v Volume, m *memory) {
	var holders []*v1.Pod
	for _, claim := range claimOf(v.PV) {
		for _, pod := range c.users.Of(claim) {
			if pod.Spec.NodeName != "" && pod.Spec.NodeName != s.Name && !done(pod) {
				holders = append(holders, pod)
			}
		}
	}
	for _, pod := range v.Pods {
		message := blockedMessage(v.PV.Name, pod, holders)
		if m.blocked[pod.UID] != message {
			m.blocked[pod.UID] = message
			c.recorder.Event(pod, v1.EventTypeWarning, "FailedAttachVolume", message)
		}
	}
}
