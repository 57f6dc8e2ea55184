package conformance

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

func TestEventsAPILife(t *testing.T) {
	s := behaviour(t, "[sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed")
	client := s.Client.EventsV1().Events(s.Namespace)
	listed := func(namespace string) bool {
		list := must[*eventsv1.EventList](s)(s.Client.EventsV1().Events(namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "set=ours"}))
		for _, e := range list.Items {
			if e.Namespace == s.Namespace && e.Name == "e" {
				return true
			}
		}
		return false
	}
	s.happening("e")
	if !listed(s.Namespace) || !listed("") {
		t.Error("the event is not listed in its namespace and in all")
	}
	// events.k8s.io fixes the note of an event at its creation; the core API, where it is called message, lets it change.
	must[*v1.Event](s)(s.Client.CoreV1().Events(s.Namespace).Patch(s.Context(), "e", types.StrategicMergePatchType, []byte(`{"message":"after"}`), metav1.PatchOptions{}))
	must[*eventsv1.Event](s)(client.Patch(s.Context(), "e", types.StrategicMergePatchType, []byte(`{"metadata":{"annotations":{"patched":"true"}}}`), metav1.PatchOptions{}))
	got := must[*eventsv1.Event](s)(client.Get(s.Context(), "e", metav1.GetOptions{}))
	if got.Note != "after" || got.Annotations["patched"] != "true" {
		t.Errorf("patched note: %q, annotations %v", got.Note, got.Annotations)
	}
	got.Series = &eventsv1.EventSeries{Count: 100, LastObservedTime: metav1.MicroTime{Time: time.Now()}}
	must[*eventsv1.Event](s)(client.Update(s.Context(), got, metav1.UpdateOptions{}))
	if again := must[*eventsv1.Event](s)(client.Get(s.Context(), "e", metav1.GetOptions{})); again.Series == nil || again.Series.Count != 100 || again.Note != "after" {
		t.Errorf("updated series: %v, note %q", again.Series, again.Note)
	}
	if err := client.Delete(s.Context(), "e", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(s.Context(), "e", metav1.GetOptions{}); !apierrors.IsNotFound(err) || listed(s.Namespace) || listed("") {
		t.Errorf("the deleted event is still there: %v", err)
	}
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
