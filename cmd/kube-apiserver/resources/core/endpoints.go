package core

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Endpoints declares endpoints.
func Endpoints() *kind.Kind[*corev1.Endpoints] {
	type T = *corev1.Endpoints
	return &kind.Kind[T]{
		Resource: "endpoints", Singular: "endpoints", ShortNames: []string{"ep"},
		New:            func() T { return &corev1.Endpoints{} },
		NewList:        func() runtime.Object { return &corev1.EndpointsList{} },
		CreateOnUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Endpoints", func(e T) string { return endpointAddresses(e, 3) }),
			kind.Age[T](),
		},
	}
}

// endpointAddresses prints the first most ready addresses and how many more there are.
func endpointAddresses(e *corev1.Endpoints, most int) string {
	var shown []string
	count := 0
	for _, subset := range e.Subsets {
		for _, address := range subset.Addresses {
			if len(subset.Ports) == 0 {
				if count++; count <= most {
					shown = append(shown, address.IP)
				}
			}
			for _, port := range subset.Ports {
				if count++; count <= most {
					shown = append(shown, net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
				}
			}
		}
	}
	switch {
	case count == 0:
		return "<none>"
	case count > most:
		return fmt.Sprintf("%s + %d more...", strings.Join(shown, ","), count-most)
	}
	return strings.Join(shown, ",")
}
