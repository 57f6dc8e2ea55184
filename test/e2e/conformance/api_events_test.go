package conformance

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// happening is an event of events.k8s.io about nothing in particular.
func (s *space) happening(name string) *eventsv1.Event {
	s.Helper()
	return must[*eventsv1.Event](s)(s.Client.EventsV1().Events(s.Namespace).Create(s.Context(), &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "ours"}},
		EventTime:  metav1.MicroTime{Time: time.Now()}, ReportingController: "tests.pilotis.dev/c", ReportingInstance: "c-1", Action: "Test", Reason: "Tested", Type: "Normal", Note: "before",
		Regarding: v1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: "p"},
	}, metav1.CreateOptions{}))
}

func TestEventsAPICollection(t *testing.T) {
	s := behaviour(t, "[sig-instrumentation] Events API should delete a collection of events")
	s.deletesEventCollection(func(name string) { s.happening(name) })
}

func TestCoreEventsCollection(t *testing.T) {
	s := behaviour(t, "[sig-instrumentation] Events should delete a collection of events")
	s.deletesEventCollection(func(name string) {
		must[*v1.Event](s)(s.Client.CoreV1().Events(s.Namespace).Create(s.Context(), &v1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "ours"}}, Type: "Normal", Reason: "Tested", Message: "m", Count: 1,
			InvolvedObject: v1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: "p"},
		}, metav1.CreateOptions{}))
	})
}

// deletesEventCollection makes three events, which both APIs list, and deletes them by their label.
func (s *space) deletesEventCollection(happen func(name string)) {
	s.Helper()
	for i := range 3 {
		happen(fmt.Sprintf("e-%d", i))
	}
	ours := metav1.ListOptions{LabelSelector: "set=ours"}
	if list := must[*v1.EventList](s)(s.Client.CoreV1().Events(s.Namespace).List(s.Context(), ours)); len(list.Items) != 3 {
		s.Errorf("v1 lists %d events of 3", len(list.Items))
	}
	if list := must[*eventsv1.EventList](s)(s.Client.EventsV1().Events(s.Namespace).List(s.Context(), ours)); len(list.Items) != 3 {
		s.Errorf("events.k8s.io/v1 lists %d events of 3", len(list.Items))
	}
	if err := s.Client.EventsV1().Events(s.Namespace).DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
		s.Fatal(err)
	}
	s.eventually("the events to be gone", func() (any, bool) {
		list := must[*v1.EventList](s)(s.Client.CoreV1().Events(s.Namespace).List(s.Context(), ours))
		return len(list.Items), len(list.Items) == 0
	})
}
