package core

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/api/validation"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Events declares events. They live for --event-ttl; events.k8s.io serves the same objects in its own shape.
func Events() *kind.Kind[*corev1.Event] {
	type T = *corev1.Event
	return &kind.Kind[T]{
		Resource: "events", Singular: "event", ShortNames: []string{"ev"},
		New:            func() T { return &corev1.Event{} },
		NewList:        func() runtime.Object { return &corev1.EventList{} },
		CreateOnUpdate: true,
		Dependents:     rest.Unsupported,
		ValidateCreate: newEventFaults,
		ValidateUpdate: changedEventFaults,
		Select:         selectEvent,
		Configure: func(store *genericregistry.Store, env *kind.Env) error {
			ttl := uint64(env.EventTTL / time.Second)
			store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return ttl, nil }
			return nil
		},
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Text("Last Seen", lastSeen),
				kind.Text("Type", func(e T) string { return e.Type }),
				kind.Text("Reason", func(e T) string { return e.Reason }),
				kind.Text("Object", func(e T) string {
					if e.InvolvedObject.Name == "" {
						return strings.ToLower(e.InvolvedObject.Kind)
					}
					return strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name
				}),
			},
			kind.Wide(
				kind.Text("Subobject", func(e T) string { return e.InvolvedObject.FieldPath }),
				kind.Text("Source", eventSource),
			),
			[]kind.Column[T]{kind.Text("Message", func(e T) string { return strings.TrimSpace(e.Message) })},
			kind.Wide(
				kind.Text("First Seen", firstSeen),
				kind.Number("Count", eventCount),
				kind.Name[T](),
			),
		),
	}
}

// newEventFaults: events.k8s.io takes no events of the old generation, which have no eventTime (KEP-383).
func newEventFaults(ctx context.Context, e *corev1.Event) field.ErrorList {
	if viaEventsAPI(ctx) && e.EventTime.IsZero() {
		return field.ErrorList{field.Required(field.NewPath("eventTime"), "")}
	}
	return nil
}

// changedEventFaults: events.k8s.io fixes what an event says; core lets it change.
func changedEventFaults(ctx context.Context, e, old *corev1.Event) field.ErrorList {
	if !viaEventsAPI(ctx) {
		return nil
	}
	return validation.EventsAPIUpdate(e, old)
}

func viaEventsAPI(ctx context.Context) bool {
	info, ok := request.RequestInfoFrom(ctx)
	return ok && info.APIGroup == eventsv1.GroupName
}

func selectEvent(e *corev1.Event, set fields.Set) {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	o := &e.InvolvedObject
	for label, value := range map[string]string{
		"involvedObject.kind": o.Kind, "involvedObject.namespace": o.Namespace, "involvedObject.name": o.Name,
		"involvedObject.uid": string(o.UID), "involvedObject.apiVersion": o.APIVersion,
		"involvedObject.resourceVersion": o.ResourceVersion, "involvedObject.fieldPath": o.FieldPath,
		"reason": e.Reason, "reportingComponent": e.ReportingController, "source": source, "type": e.Type,
	} {
		set[label] = value
	}
}

func firstSeen(e *corev1.Event) string {
	if e.FirstTimestamp.IsZero() {
		return kind.Ago(metav1.NewTime(e.EventTime.Time))
	}
	return kind.Ago(e.FirstTimestamp)
}

func lastSeen(e *corev1.Event) string {
	switch {
	case e.Series != nil:
		return kind.Ago(metav1.NewTime(e.Series.LastObservedTime.Time))
	case e.LastTimestamp.IsZero():
		return firstSeen(e)
	}
	return kind.Ago(e.LastTimestamp)
}

func eventCount(e *corev1.Event) int32 {
	switch {
	case e.Series != nil:
		return e.Series.Count
	case e.Count != 0:
		return e.Count
	}
	return 1
}

func eventSource(e *corev1.Event) string {
	component, instance := e.Source.Component, e.Source.Host
	if component == "" {
		component = e.ReportingController
	}
	if instance == "" {
		instance = e.ReportingInstance
	}
	if instance == "" {
		return component
	}
	return fmt.Sprintf("%s, %s", component, instance)
}
