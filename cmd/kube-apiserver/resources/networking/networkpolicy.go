package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// NetworkPolicies declares networkpolicies.
func NetworkPolicies() *kind.Kind[*networkingv1.NetworkPolicy] {
	type T = *networkingv1.NetworkPolicy
	return &kind.Kind[T]{
		Group: "networking.k8s.io", Resource: "networkpolicies", Singular: "networkpolicy", ShortNames: []string{"netpol"},
		New:        func() T { return &networkingv1.NetworkPolicy{} },
		NewList:    func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
		Spec:       kind.Field(func(p T) *networkingv1.NetworkPolicySpec { return &p.Spec }),
		Generation: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Pod-Selector", func(p T) string { return metav1.FormatLabelSelector(&p.Spec.PodSelector) }),
			kind.Age[T](),
		},
	}
}
