package core

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Pods declares pods.
func Pods() *kind.Kind[*corev1.Pod] {
	type T = *corev1.Pod
	return &kind.Kind[T]{
		Resource: "pods", Singular: "pod", ShortNames: []string{"po"}, Categories: []string{"all"},
		New:           func() T { return &corev1.Pod{} },
		NewList:       func() runtime.Object { return &corev1.PodList{} },
		Spec:          kind.Field(func(p T) *corev1.PodSpec { return &p.Spec }),
		Status:        kind.Field(func(p T) *corev1.PodStatus { return &p.Status }),
		Generation:    true,
		PrepareCreate: preparePod,
		PrepareUpdate: func(_ context.Context, p, _ T) { dropGatedCondition(p) },
		PrepareStatus: preparePodStatus,
		StatusResets:  []string{"deletionTimestamp", "ownerReferences"},
		Warnings: func(_ context.Context, p, old T) []string {
			if old != nil {
				return nil // updates are made by programs
			}
			return kind.PodWarnings(&p.Spec, field.NewPath("spec"))
		},
		Graceful:      gracefulPod,
		ReturnDeleted: true,
		Select:        selectPod,
		Index: map[string]func(T) string{
			"spec.nodeName": func(p T) string { return p.Spec.NodeName },
		},
		Subresources:  podSubresources,
		Columns:       podColumns(),
		RowConditions: podRowConditions,
	}
}

// preparePod gives a new pod the status that everyone may rely on before a kubelet has seen it.
func preparePod(_ context.Context, p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: QOSClass(p)}
	selectOwnRevision(p)
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type:               corev1.PodScheduled,
			Status:             corev1.ConditionFalse,
			Reason:             corev1.PodReasonSchedulingGated,
			Message:            "Scheduling is blocked due to non-empty scheduling gates",
			LastTransitionTime: metav1.Now(),
		})
	}
}

// dropGatedCondition removes the "gated" condition with the last gate, so that the scheduler starts from a clean pod.
func dropGatedCondition(p *corev1.Pod) {
	if len(p.Spec.SchedulingGates) > 0 {
		return
	}
	for i, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			kept := append([]corev1.PodCondition(nil), p.Status.Conditions[:i]...)
			p.Status.Conditions = append(kept, p.Status.Conditions[i+1:]...)
			return
		}
	}
}

// preparePodStatus keeps a status writer from deleting the pod or changing its owners, and pairs the single address
// fields with their lists.
func preparePodStatus(_ context.Context, p, old *corev1.Pod) {
	p.DeletionTimestamp = nil
	p.OwnerReferences = old.OwnerReferences
	if p.Status.QOSClass == "" {
		p.Status.QOSClass = old.Status.QOSClass
	}
	s := &p.Status
	switch {
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP && s.PodIP != old.Status.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	case len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	}
	switch {
	case s.HostIP != "" && len(s.HostIPs) == 0:
		s.HostIPs = []corev1.HostIP{{IP: s.HostIP}}
	case s.HostIP == "" && len(s.HostIPs) > 0:
		s.HostIP = s.HostIPs[0].IP
	}
}

// gracefulPod decides how long a pod may take to end: what the deletion says, else what the pod says. A pod that no
// kubelet runs, because it is not bound or has ended, goes at once (API reference, DeleteOptions).
func gracefulPod(_ context.Context, p *corev1.Pod, options *metav1.DeleteOptions) bool {
	var period int64
	switch {
	case options.GracePeriodSeconds != nil:
		period = *options.GracePeriodSeconds
	case p.Spec.TerminationGracePeriodSeconds != nil:
		period = *p.Spec.TerminationGracePeriodSeconds
	}
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		period = 0
	}
	if period < 0 {
		period = 1
	}
	options.GracePeriodSeconds = &period
	return true
}

func selectPod(p *corev1.Pod, set fields.Set) {
	set["spec.nodeName"] = p.Spec.NodeName
	set["spec.restartPolicy"] = string(p.Spec.RestartPolicy)
	set["spec.schedulerName"] = p.Spec.SchedulerName
	set["spec.serviceAccountName"] = p.Spec.ServiceAccountName
	set["spec.hostNetwork"] = strconv.FormatBool(p.Spec.HostNetwork)
	set["status.phase"] = string(p.Status.Phase)
	set["status.nominatedNodeName"] = p.Status.NominatedNodeName
	set["status.podIP"] = p.Status.PodIP
	if len(p.Status.PodIPs) > 0 {
		set["status.podIP"] = p.Status.PodIPs[0].IP
	}
}
