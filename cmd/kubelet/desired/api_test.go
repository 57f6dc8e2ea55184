package desired

import (
	"context"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

// TestAPodThatTookAnothersPlace: when a watch is broken, the end of a pod may be missed, and what comes next is another
// pod of its name.
func TestAPodThatTookAnothersPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := func(uid types.UID) *v1.Pod {
			return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: uid}, Spec: v1.PodSpec{NodeName: "node-a"}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		client := fake.NewClientset(pod("first"))
		set := NewSet(API)
		told := map[types.UID]int{}
		listen(set, func(uid types.UID) { told[uid]++ })
		if err := WatchAPI(ctx, client, "node-a", set); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := client.Tracker().Update(v1.SchemeGroupVersion.WithResource("pods"), pod("second"), "ns"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if set.Get("first") != nil || set.Get("second") == nil {
			t.Errorf("the node should run %v, want the second pod alone", set.Pods())
		}
		if told["first"] != 2 || told["second"] != 1 {
			t.Errorf("told %v: the first pod came and went, the second came", told)
		}
		cancel()
		synctest.Wait()
	})
}
