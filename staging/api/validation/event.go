package validation

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Lengths of the texts of an event.
const (
	maxReportingInstance = 128
	maxAction            = 128
	maxReason            = 128
	maxNote              = 1024
)

func eventCreate(e *corev1.Event) *faults {
	f := metadata(&e.ObjectMeta, namespaced, subdomainName)
	eventContent(f, e)
	return f
}

// eventUpdate leaves the content free to change, as core/v1 does; see EventsAPIUpdate for events.k8s.io.
func eventUpdate(e, old *corev1.Event) *faults {
	f := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	eventContent(f, e)
	return f
}

// EventsAPIUpdate finds what an update by way of events.k8s.io must not change of an event of the newer generation. By way of
// core/v1, all but the metadata may change, as clients of the older generation expect (KEP-383).
func EventsAPIUpdate(e, old *corev1.Event) field.ErrorList {
	f := &faults{}
	if old.EventTime.IsZero() {
		return nil
	}
	f.immutable(nil, "involvedObject", e.InvolvedObject, old.InvolvedObject)
	f.immutable(nil, "reason", e.Reason, old.Reason)
	f.immutable(nil, "action", e.Action, old.Action)
	f.immutable(nil, "eventTime", e.EventTime, old.EventTime)
	f.immutable(nil, "reportingController", e.ReportingController, old.ReportingController)
	f.immutable(nil, "reportingInstance", e.ReportingInstance, old.ReportingInstance)
	f.immutable(nil, "message", e.Message, old.Message)
	f.immutable(nil, "type", e.Type, old.Type)
	return f.list
}

// eventContent tells the two generations of events apart by eventTime, which only the newer one has (KEP-383).
func eventContent(f *faults, e *corev1.Event) {
	p := field.NewPath("involvedObject")
	if e.EventTime.IsZero() {
		if e.InvolvedObject.Namespace == "" {
			if e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem {
				f.invalid(p, "namespace", e.InvolvedObject.Namespace, "does not match event.namespace")
			}
		} else if e.Namespace != e.InvolvedObject.Namespace {
			f.invalid(p, "namespace", e.InvolvedObject.Namespace, "does not match event.namespace")
		}
		return
	}
	if e.InvolvedObject.Namespace == "" && e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem {
		f.invalid(p, "namespace", e.InvolvedObject.Namespace, "does not match event.namespace")
	}
	if e.InvolvedObject.Namespace != "" && e.Namespace != e.InvolvedObject.Namespace {
		f.invalid(p, "namespace", e.InvolvedObject.Namespace, "does not match event.namespace")
	}
	if f.present(nil, "reportingController", e.ReportingController) {
		f.messages(nil, "reportingController", e.ReportingController, validation.IsQualifiedName(e.ReportingController))
	}
	eventText(f, "reportingInstance", e.ReportingInstance, maxReportingInstance)
	eventText(f, "action", e.Action, maxAction)
	eventText(f, "reason", e.Reason, maxReason)
	if len(e.Message) > maxNote {
		f.invalid(nil, "message", "", "can have at most 1024 characters")
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		f.invalid(nil, "type", "", "has invalid value: "+e.Type)
	}
	if s := e.Series; s != nil {
		if s.Count < 2 {
			f.invalid(nil, "series.count", "", "should be at least 2")
		}
		if s.LastObservedTime.IsZero() {
			f.required(nil, "series.lastObservedTime", "")
		}
	}
}

func eventText(f *faults, name, text string, limit int) {
	if f.present(nil, name, text) && len(text) > limit {
		f.invalid(nil, name, "", "can have at most 128 characters")
	}
}
