package queue

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// selfEvents tells how a waiting pod changed.
func selfEvents(old, pod *v1.Pod) []plugins.Event {
	return podEvents(framework.UnscheduledPod, old, pod)
}

// PodEvents tells how a pod that has a node changed.
func PodEvents(old, pod *v1.Pod) []plugins.Event {
	return podEvents(framework.AssignedPod, old, pod)
}

func podEvents(resource framework.EventResource, old, pod *v1.Pod) []plugins.Event {
	var actions framework.ActionType
	if !maps.Equal(old.Labels, pod.Labels) {
		actions |= framework.UpdatePodLabel
	}
	if !slices.Equal(old.Spec.SchedulingGates, pod.Spec.SchedulingGates) && len(pod.Spec.SchedulingGates) == 0 {
		actions |= framework.UpdatePodSchedulingGatesEliminated
	}
	if !equality.Semantic.DeepEqual(old.Spec.Tolerations, pod.Spec.Tolerations) {
		actions |= framework.UpdatePodToleration
	}
	before, after := snapshot.NewPod(old).Request, snapshot.NewPod(pod).Request
	if after.MilliCPU < before.MilliCPU || after.Memory < before.Memory {
		actions |= framework.UpdatePodScaleDown
	}
	if after.MilliCPU > before.MilliCPU || after.Memory > before.Memory {
		actions |= framework.UpdatePodScaleUp
	}
	if actions == 0 {
		return nil
	}
	return []plugins.Event{{Resource: resource, Action: actions, Old: old, New: pod}}
}

// NodeEvents tells how a node changed.
func NodeEvents(old, node *v1.Node) []plugins.Event {
	var actions framework.ActionType
	if !equality.Semantic.DeepEqual(old.Status.Allocatable, node.Status.Allocatable) {
		actions |= framework.UpdateNodeAllocatable
	}
	if !maps.Equal(old.Labels, node.Labels) {
		actions |= framework.UpdateNodeLabel
	}
	if !equality.Semantic.DeepEqual(old.Spec.Taints, node.Spec.Taints) || old.Spec.Unschedulable != node.Spec.Unschedulable {
		actions |= framework.UpdateNodeTaint
	}
	if !equality.Semantic.DeepEqual(conditions(old), conditions(node)) {
		actions |= framework.UpdateNodeCondition
	}
	if actions == 0 {
		return nil
	}
	return []plugins.Event{{Resource: framework.Node, Action: actions, Old: old, New: node}}
}

func conditions(n *v1.Node) map[v1.NodeConditionType]v1.ConditionStatus {
	m := map[v1.NodeConditionType]v1.ConditionStatus{}
	for _, c := range n.Status.Conditions {
		m[c.Type] = c.Status
	}
	return m
}
