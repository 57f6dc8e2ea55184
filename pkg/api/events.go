package api

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// addEvents converts events.k8s.io/v1 Events from and to the core/v1 Event that is stored.
func addEvents(s *runtime.Scheme) error {
	if err := both(s, eventToCore, eventFromCore); err != nil {
		return err
	}
	return both(s,
		func(in *eventsv1.EventList, out *corev1.EventList) (err error) {
			out.ListMeta = in.ListMeta
			out.Items, err = each(in.Items, eventToCore)
			return err
		},
		func(in *corev1.EventList, out *eventsv1.EventList) (err error) {
			out.ListMeta = in.ListMeta
			out.Items, err = each(in.Items, eventFromCore)
			return err
		})
}

func eventToCore(in *eventsv1.Event, out *corev1.Event) error {
	*out = corev1.Event{
		ObjectMeta:          in.ObjectMeta,
		InvolvedObject:      in.Regarding,
		Related:             in.Related,
		Reason:              in.Reason,
		Action:              in.Action,
		Message:             in.Note,
		Type:                in.Type,
		EventTime:           in.EventTime,
		ReportingController: in.ReportingController,
		ReportingInstance:   in.ReportingInstance,
		Source:              in.DeprecatedSource,
		FirstTimestamp:      in.DeprecatedFirstTimestamp,
		LastTimestamp:       in.DeprecatedLastTimestamp,
		Count:               in.DeprecatedCount,
	}
	if in.Series != nil {
		out.Series = &corev1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
	return nil
}

func eventFromCore(in *corev1.Event, out *eventsv1.Event) error {
	*out = eventsv1.Event{
		ObjectMeta:               in.ObjectMeta,
		Regarding:                in.InvolvedObject,
		Related:                  in.Related,
		Reason:                   in.Reason,
		Action:                   in.Action,
		Note:                     in.Message,
		Type:                     in.Type,
		EventTime:                in.EventTime,
		ReportingController:      in.ReportingController,
		ReportingInstance:        in.ReportingInstance,
		DeprecatedSource:         in.Source,
		DeprecatedFirstTimestamp: in.FirstTimestamp,
		DeprecatedLastTimestamp:  in.LastTimestamp,
		DeprecatedCount:          in.Count,
	}
	if in.Series != nil {
		out.Series = &eventsv1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
	return nil
}
