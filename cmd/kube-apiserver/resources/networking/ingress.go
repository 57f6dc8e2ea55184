package networking

import (
	"context"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// classAnnotation named the class before there was a field for it.
const classAnnotation = "kubernetes.io/ingress.class"

// Ingresses declares ingresses.
func Ingresses() *kind.Kind[*networkingv1.Ingress] {
	type T = *networkingv1.Ingress
	return &kind.Kind[T]{
		Group: "networking.k8s.io", Resource: "ingresses", Singular: "ingress", ShortNames: []string{"ing"},
		New:        func() T { return &networkingv1.Ingress{} },
		NewList:    func() runtime.Object { return &networkingv1.IngressList{} },
		Spec:       kind.Field(func(i T) *networkingv1.IngressSpec { return &i.Spec }),
		Status:     kind.Field(func(i T) *networkingv1.IngressStatus { return &i.Status }),
		Generation: true,
		Warnings: func(_ context.Context, i, old T) []string {
			if _, set := i.Annotations[classAnnotation]; set && old == nil {
				return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", classAnnotation)}
			}
			return nil
		},
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Class", ingressClass),
			kind.Text("Hosts", ingressHosts),
			kind.Text("Address", ingressAddress),
			kind.Text("Ports", func(i T) string {
				if len(i.Spec.TLS) > 0 {
					return "80, 443"
				}
				return "80"
			}),
			kind.Age[T](),
		},
	}
}

func ingressClass(i *networkingv1.Ingress) string {
	if i.Spec.IngressClassName != nil {
		return *i.Spec.IngressClassName
	}
	return kind.OrNone(i.Annotations[classAnnotation])
}

func ingressHosts(i *networkingv1.Ingress) string {
	const most = 3
	var hosts []string
	for _, rule := range i.Spec.Rules {
		if rule.Host != "" {
			hosts = append(hosts, rule.Host)
		}
	}
	switch {
	case len(hosts) == 0:
		return "*"
	case len(hosts) > most:
		return fmt.Sprintf("%s + %d more...", strings.Join(hosts[:most], ","), len(hosts)-most)
	}
	return strings.Join(hosts, ",")
}

func ingressAddress(i *networkingv1.Ingress) string {
	var all []string
	for _, in := range i.Status.LoadBalancer.Ingress {
		if in.IP != "" {
			all = append(all, in.IP)
		} else if in.Hostname != "" {
			all = append(all, in.Hostname)
		}
	}
	return strings.Join(all, ",")
}
