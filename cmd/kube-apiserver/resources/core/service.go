package core

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Services declares services.
func Services() *kind.Kind[*corev1.Service] {
	type T = *corev1.Service
	return &kind.Kind[T]{
		Resource: "services", Singular: "service", ShortNames: []string{"svc"}, Categories: []string{"all"},
		New:     func() T { return &corev1.Service{} },
		NewList: func() runtime.Object { return &corev1.ServiceList{} },
		Spec:    kind.Field(func(s T) *corev1.ServiceSpec { return &s.Spec }),
		Status:  kind.Field(func(s T) *corev1.ServiceStatus { return &s.Status }),
		PrepareUpdate: func(_ context.Context, s, _ T) {
			if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
				s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
			}
		},
		CreateOnUpdate: true,
		ReturnDeleted:  true,
		Configure:      configureServices,
		Subresources:   serviceSubresources,
		Select: func(s T, set fields.Set) {
			set["spec.clusterIP"] = s.Spec.ClusterIP
			set["spec.type"] = string(s.Spec.Type)
		},
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Type", func(s T) string { return string(s.Spec.Type) }),
				kind.Text("Cluster-IP", func(s T) string {
					if len(s.Spec.ClusterIPs) > 0 {
						return s.Spec.ClusterIPs[0]
					}
					return kind.OrNone(s.Spec.ClusterIP)
				}),
				kind.Text("External-IP", externalIP),
				kind.Text("Port(s)", servicePorts),
				kind.Age[T](),
			},
			kind.Wide(kind.Text("Selector", func(s T) string { return labels.FormatLabels(s.Spec.Selector) })),
		),
	}
}

func externalIP(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		var all []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			if in.IP != "" {
				all = append(all, in.IP)
			} else if in.Hostname != "" {
				all = append(all, in.Hostname)
			}
		}
		all = append(all, s.Spec.ExternalIPs...)
		if len(all) == 0 {
			return "<pending>"
		}
		return strings.Join(all, ",")
	}
	return kind.OrNone(strings.Join(s.Spec.ExternalIPs, ","))
}

func servicePorts(s *corev1.Service) string {
	if len(s.Spec.Ports) == 0 {
		return "<none>"
	}
	ports := make([]string, len(s.Spec.Ports))
	for i, p := range s.Spec.Ports {
		ports[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.NodePort > 0 {
			ports[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
	}
	return strings.Join(ports, ",")
}
