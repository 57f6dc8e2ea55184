package api

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// addHubs registers each hub type a second time, as its group's "__internal" version. It runs after the served
// versions are known: the first kind of an object must be the served one.
func addHubs(s *runtime.Scheme) error {
	for _, g := range groups() {
		for _, hub := range g.hubs {
			internal := schema.GroupVersion{Group: hub.Group, Version: runtime.APIVersionInternal}
			for kind, t := range s.KnownTypes(hub) {
				// ListOptions, WatchEvent … are every group's own already.
				if !ofMachinery(t) && !s.Recognizes(internal.WithKind(kind)) {
					s.AddKnownTypeWithName(internal.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
				}
			}
		}
	}
	s.AddKnownTypes(schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}, &corev1.Event{}, &corev1.EventList{})
	return nil
}

// addConversions teaches s the way between hubs and the other versions of their kinds.
func addConversions(s *runtime.Scheme) error {
	u := uneven()
	for _, g := range groups() {
		if g.convert != nil {
			if err := g.convert(s); err != nil {
				return err
			}
			continue
		}
		for _, v := range g.versions {
			hubs := s.KnownTypes(schema.GroupVersion{Group: v.Group, Version: runtime.APIVersionInternal})
			for kind, t := range s.KnownTypes(v.GroupVersion) {
				if hub := hubs[kind]; !ofMachinery(t) && hub != t {
					if err := u.alike(s, t, hub); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func ofMachinery(t reflect.Type) bool { return strings.HasPrefix(t.PkgPath(), "k8s.io/apimachinery/") }
