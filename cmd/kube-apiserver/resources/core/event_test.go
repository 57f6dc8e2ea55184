package core

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// TestChangedEvents: what an event says may change by way of core, not by way of events.k8s.io.
func TestChangedEvents(t *testing.T) {
	old := &corev1.Event{EventTime: metav1.NewMicroTime(time.Unix(1, 0)), Message: "before"}
	changed := old.DeepCopy()
	changed.Message = "after"
	for group, want := range map[string]string{"": "", "events.k8s.io": "message"} {
		ctx := request.WithRequestInfo(t.Context(), &request.RequestInfo{APIGroup: group})
		faults := Events().ValidateUpdate(ctx, changed, old)
		got := ""
		if len(faults) > 0 {
			got = faults[0].Field
		}
		if got != want {
			t.Errorf("group %q: the fault is at %q, not %q", group, got, want)
		}
	}
}
