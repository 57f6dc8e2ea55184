package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// IPAddresses declares ipaddresses: one object an address of a Service (KEP-1880).
func IPAddresses() *kind.Kind[*networkingv1.IPAddress] {
	type T = *networkingv1.IPAddress
	return &kind.Kind[T]{
		Group: "networking.k8s.io", Resource: "ipaddresses", Singular: "ipaddress", ShortNames: []string{"ip"}, ClusterScoped: true,
		New:     func() T { return &networkingv1.IPAddress{} },
		NewList: func() runtime.Object { return &networkingv1.IPAddressList{} },
		Select: func(a T, set fields.Set) {
			if ref := a.Spec.ParentRef; ref != nil {
				set["spec.parentRef.resource"], set["spec.parentRef.namespace"], set["spec.parentRef.name"] = ref.Resource, ref.Namespace, ref.Name
			}
		},
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("ParentRef", parent),
			kind.Age[T](),
		},
	}
}

func parent(a *networkingv1.IPAddress) string {
	ref := a.Spec.ParentRef
	if ref == nil {
		return "<none>"
	}
	text := ref.Resource
	if ref.Group != "" {
		text += "." + ref.Group
	}
	if ref.Namespace != "" {
		text += "/" + ref.Namespace
	}
	return text + "/" + ref.Name
}
