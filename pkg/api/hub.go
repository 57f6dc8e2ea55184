package api

import (
	"reflect"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// addHubs registers each hub type a second time, as its group's "__internal" version. It runs after the served
// versions are known: the first kind of an object must be the served one.
func addHubs(s *runtime.Scheme) error {
	for _, g := range groups() {
		if g.hub.Empty() {
			continue
		}
		internal := schema.GroupVersion{Group: g.hub.Group, Version: runtime.APIVersionInternal}
		for kind, t := range s.KnownTypes(g.hub) {
			if strings.HasPrefix(t.PkgPath(), "k8s.io/apimachinery/") {
				continue // ListOptions, WatchEvent … are every group's own already
			}
			s.AddKnownTypeWithName(internal.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
		}
	}
	// Scale exists in autoscaling/v1 only, so that version is its hub.
	s.AddKnownTypes(schema.GroupVersion{Group: autoscalingv1.GroupName, Version: runtime.APIVersionInternal}, &autoscalingv1.Scale{})
	s.AddKnownTypes(schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}, &corev1.Event{}, &corev1.EventList{})
	return nil
}
