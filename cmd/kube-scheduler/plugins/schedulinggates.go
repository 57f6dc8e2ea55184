package plugins

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
)

// SchedulingGates keeps a pod with spec.schedulingGates out of the queue (KEP-3521).
type SchedulingGates struct{}

func (SchedulingGates) Name() string { return "SchedulingGates" }

// PreEnqueue names the gates.
func (SchedulingGates) PreEnqueue(pod *v1.Pod) *framework.Status {
	if len(pod.Spec.SchedulingGates) == 0 {
		return nil
	}
	var gates []string
	for _, g := range pod.Spec.SchedulingGates {
		gates = append(gates, g.Name)
	}
	return framework.NewStatus(framework.UnschedulableAndUnresolvable, fmt.Sprintf("waiting for scheduling gates: [%s]", strings.Join(gates, " ")))
}
