package discovery

import (
	"fmt"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// EndpointSlices declares endpointslices.
func EndpointSlices() *kind.Kind[*discoveryv1.EndpointSlice] {
	type T = *discoveryv1.EndpointSlice
	return &kind.Kind[T]{
		Group: "discovery.k8s.io", Resource: "endpointslices", Singular: "endpointslice",
		New:     func() T { return &discoveryv1.EndpointSlice{} },
		NewList: func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		Spec: kind.Fields(
			kind.Field(func(s T) *discoveryv1.AddressType { return &s.AddressType }),
			kind.Field(func(s T) *[]discoveryv1.Endpoint { return &s.Endpoints }),
			kind.Field(func(s T) *[]discoveryv1.EndpointPort { return &s.Ports }),
			kind.Field(func(s T) *map[string]string { return &s.Labels }),
			kind.Field(func(s T) *map[string]string { return &s.Annotations }),
		),
		Generation: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("AddressType", func(s T) string { return string(s.AddressType) }),
			kind.Text("Ports", slicePorts),
			kind.Text("Endpoints", sliceAddresses),
			kind.Age[T](),
		},
	}
}

const most = 3

func shorten(all []string) string {
	switch {
	case len(all) == 0:
		return "<unset>"
	case len(all) > most:
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:most], ","), len(all)-most)
	}
	return strings.Join(all, ",")
}

func slicePorts(s *discoveryv1.EndpointSlice) string {
	ports := make([]string, 0, len(s.Ports))
	for _, p := range s.Ports {
		text := "*"
		if p.Port != nil {
			text = strconv.Itoa(int(*p.Port))
		}
		ports = append(ports, text)
	}
	return shorten(ports)
}

func sliceAddresses(s *discoveryv1.EndpointSlice) string {
	var all []string
	for i := range s.Endpoints {
		all = append(all, s.Endpoints[i].Addresses...)
	}
	return shorten(all)
}
