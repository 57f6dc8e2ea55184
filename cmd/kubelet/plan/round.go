package plan

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/observed"
)

// Round is when the present round of the pod's containers began: one had ended, and a rule of its own makes all start
// anew in place (KEP-5532). Zero: this is the first round. What was created before belongs to the last round.
func Round(pod *v1.Pod, o *observed.Pod) time.Time {
	var began time.Time
	if o == nil {
		return began
	}
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, c := range o.Containers {
				if c.Name == list[i].Name && c.Exited() && c.Finished.After(began) && matched(&list[i], c.ExitCode) == v1.ContainerRestartRuleActionRestartAllContainers {
					began = c.Finished
				}
			}
		}
	}
	return began
}

// RunningOfLastRound are the containers that must end before the present round starts its own. Ephemeral ones stay.
func RunningOfLastRound(pod *v1.Pod, o *observed.Pod) []*observed.Container {
	var out []*observed.Container
	began := Round(pod, o)
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if c := o.Newest(list[i].Name); c != nil && c.Running() && c.Created.Before(began) {
				out = append(out, c)
			}
		}
	}
	return out
}

// newest is the container of the name that the present round has come to; nil: none yet.
func (in Input) newest(name string) *observed.Container {
	if c := in.Observed.Newest(name); c != nil && !c.Created.Before(in.round) {
		return c
	}
	return nil
}
