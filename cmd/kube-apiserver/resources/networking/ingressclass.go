package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// IngressClasses declares ingressclasses.
func IngressClasses() *kind.Kind[*networkingv1.IngressClass] {
	type T = *networkingv1.IngressClass
	return &kind.Kind[T]{
		Group: "networking.k8s.io", Resource: "ingressclasses", Singular: "ingressclass", ClusterScoped: true,
		New:        func() T { return &networkingv1.IngressClass{} },
		NewList:    func() runtime.Object { return &networkingv1.IngressClassList{} },
		Spec:       kind.Field(func(c T) *networkingv1.IngressClassSpec { return &c.Spec }),
		Generation: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Controller", func(c T) string { return c.Spec.Controller }),
			kind.Text("Parameters", func(c T) string {
				p := c.Spec.Parameters
				if p == nil {
					return "<none>"
				}
				text := p.Kind
				if p.APIGroup != nil {
					text += "." + *p.APIGroup
				}
				return text + "/" + p.Name
			}),
			kind.Age[T](),
		},
	}
}
