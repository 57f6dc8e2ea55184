package app

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	testingclock "k8s.io/utils/clock/testing"
)

// TestAFloodOfEventsIsCut tells of one object a thousand times, and of another once.
func TestAFloodOfEventsIsCut(t *testing.T) {
	fake := testingclock.NewFakePassiveClock(time.Now())
	sink := record.NewFakeRecorder(1000)
	recorder := newSparing(sink, fake)
	busy := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "busy", UID: "1"}}
	calm := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "calm", UID: "2"}}
	for range 1000 {
		recorder.Eventf(busy, v1.EventTypeNormal, "Created", "a pod")
	}
	if n := len(sink.Events); n != eventBurst {
		t.Errorf("%d events of a thousand passed, expected %d", n, eventBurst)
	}
	recorder.Event(calm, v1.EventTypeNormal, "Created", "a pod")
	recorder.AnnotatedEventf(&v1.ObjectReference{Kind: "Node", Name: "n"}, nil, v1.EventTypeNormal, "Gone", "a node")
	if n := len(sink.Events); n != eventBurst+2 {
		t.Errorf("another object's event was lost: %d", n)
	}
	fake.SetTime(fake.Now().Add(5*time.Minute + time.Second))
	recorder.Event(busy, v1.EventTypeNormal, "Created", "a pod")
	recorder.Event(busy, v1.EventTypeNormal, "Created", "a pod")
	if n := len(sink.Events); n != eventBurst+3 {
		t.Errorf("%d events after five minutes, expected one more", n)
	}
}

// TestClientGoDropsNoLess shows that client-go's recorder would not have sent what is dropped before it.
func TestClientGoDropsNoLess(t *testing.T) {
	fake := testingclock.NewFakeClock(time.Now())
	ours := newSparing(record.NewFakeRecorder(1000), fake)
	theirs := record.NewEventCorrelator(fake)
	object := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "busy", UID: "1"}}
	for i := range 500 {
		result, err := theirs.EventCorrelate(&v1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("e", i)}, Reason: "Created", Message: fmt.Sprint("pod ", i),
			InvolvedObject: v1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "busy", UID: "1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if passes := ours.passes(object); passes == result.Skip {
			t.Fatalf("event %d passes here: %t, there: %t", i, passes, !result.Skip)
		}
		fake.Step(time.Duration(i%40) * time.Second)
	}
}
