package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ServiceCIDRs declares servicecidrs: the ranges that Service addresses come from (KEP-1880).
func ServiceCIDRs() *kind.Kind[*networkingv1.ServiceCIDR] {
	type T = *networkingv1.ServiceCIDR
	return &kind.Kind[T]{
		Group: "networking.k8s.io", Resource: "servicecidrs", Singular: "servicecidr", ClusterScoped: true,
		New:     func() T { return &networkingv1.ServiceCIDR{} },
		NewList: func() runtime.Object { return &networkingv1.ServiceCIDRList{} },
		Spec:    kind.Field(func(c T) *networkingv1.ServiceCIDRSpec { return &c.Spec }),
		Status:  kind.Field(func(c T) *networkingv1.ServiceCIDRStatus { return &c.Status }),
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("CIDRs", func(c T) string { return strings.Join(c.Spec.CIDRs, ",") }),
			kind.Age[T](),
		},
	}
}
