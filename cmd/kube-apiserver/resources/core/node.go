package core

import (
	"context"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

const (
	roleLabelPrefix = "node-role.kubernetes.io/"
	roleLabel       = "kubernetes.io/role"
)

// Nodes declares nodes.
func Nodes() *kind.Kind[*corev1.Node] {
	type T = *corev1.Node
	return &kind.Kind[T]{
		Resource: "nodes", Singular: "node", ShortNames: []string{"no"}, ClusterScoped: true,
		New:           func() T { return &corev1.Node{} },
		NewList:       func() runtime.Object { return &corev1.NodeList{} },
		Spec:          kind.Field(func(n T) *corev1.NodeSpec { return &n.Spec }),
		Status:        keptStatus{kind.Field(func(n T) *corev1.NodeStatus { return &n.Status })},
		PrepareCreate: func(_ context.Context, n T) { pairPodCIDR(&n.Spec) },
		PrepareUpdate: func(_ context.Context, n, _ T) { pairPodCIDR(&n.Spec) },
		Select:        func(n T, set fields.Set) { set["spec.unschedulable"] = strconv.FormatBool(n.Spec.Unschedulable) },
		Index:         map[string]func(T) string{"metadata.name": func(n T) string { return n.Name }},
		Subresources:  nodeSubresources,
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Status", nodeStatus),
				kind.Text("Roles", nodeRoles),
				kind.Age[T](),
				kind.Text("Version", func(n T) string { return n.Status.NodeInfo.KubeletVersion }),
			},
			kind.Wide(
				kind.Text("Internal-IP", func(n T) string { return kind.OrNone(nodeAddress(n, corev1.NodeInternalIP)) }),
				kind.Text("External-IP", func(n T) string { return kind.OrNone(nodeAddress(n, corev1.NodeExternalIP)) }),
				kind.Text("OS-Image", func(n T) string { return orUnknown(n.Status.NodeInfo.OSImage) }),
				kind.Text("Kernel-Version", func(n T) string { return orUnknown(n.Status.NodeInfo.KernelVersion) }),
				kind.Text("Container-Runtime", func(n T) string { return orUnknown(n.Status.NodeInfo.ContainerRuntimeVersion) }),
			),
		),
	}
}

// keptStatus lets a node be created with a status: kubelets register with one.
type keptStatus struct{ kind.Part[*corev1.Node] }

func (keptStatus) Clear(*corev1.Node) {}

// pairPodCIDR keeps podCIDR and the first of podCIDRs the same.
func pairPodCIDR(s *corev1.NodeSpec) {
	switch {
	case s.PodCIDR != "" && len(s.PodCIDRs) == 0:
		s.PodCIDRs = []string{s.PodCIDR}
	case s.PodCIDR == "" && len(s.PodCIDRs) > 0:
		s.PodCIDR = s.PodCIDRs[0]
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "<unknown>"
	}
	return s
}

func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return ""
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		status = "NotReady"
		if c.Status == corev1.ConditionTrue {
			status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRoles(n *corev1.Node) string {
	var roles []string
	for label, value := range n.Labels {
		if role, ok := strings.CutPrefix(label, roleLabelPrefix); ok && role != "" {
			roles = append(roles, role)
		} else if label == roleLabel && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return kind.OrNone(strings.Join(slices.Compact(roles), ","))
}
