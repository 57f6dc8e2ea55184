package protection

import (
	"slices"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestAPodGroupOutlivesItsPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(&schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "g"}})
		for _, name := range []string{"p", "q"} {
			l.Seed(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: v1.PodSpec{SchedulingGroup: &v1.PodSchedulingGroup{PodGroupName: ptr.To("g")}}})
		}
		loop, err := NewPodGroups(l.Informers, l.Client, Options{})
		if err != nil {
			t.Fatal(err)
		}
		l.Run(t, loop)
		api := l.Client.SchedulingV1beta1().PodGroups("ns")
		synctest.Wait()
		if g, err := api.Get(t.Context(), "g", metav1.GetOptions{}); err != nil || !slices.Contains(g.Finalizers, "scheduling.k8s.io/podgroup-protection") {
			t.Fatalf("a group from before is not protected: %v, %v", g, err)
		}
		if err := api.Delete(t.Context(), "g", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"p", "q"} {
			synctest.Wait()
			if _, err := api.Get(t.Context(), "g", metav1.GetOptions{}); err != nil {
				t.Fatalf("gone before %s has ended: %v", name, err)
			}
			l.SetPod(t, l.Pods()[name], lab.Ended(0))
		}
		synctest.Wait()
		if _, err := api.Get(t.Context(), "g", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("still there when all pods have ended: %v", err)
		}
	})
}

// A pod that the cache has not seen yet holds its group.
func TestAPodGroupIsNotLetGoByAColdCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(&schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "g"}})
		loop, err := NewPodGroups(l.Informers, l.Client, Options{})
		if err != nil {
			t.Fatal(err)
		}
		l.Run(t, loop)
		l.Freeze("pods")
		l.Seed(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: v1.PodSpec{SchedulingGroup: &v1.PodSchedulingGroup{PodGroupName: ptr.To("g")}}})
		api := l.Client.SchedulingV1beta1().PodGroups("ns")
		if err := api.Delete(t.Context(), "g", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := api.Get(t.Context(), "g", metav1.GetOptions{}); err != nil {
			t.Fatalf("gone before its pod has ended: %v", err)
		}
		l.Thaw()
		synctest.Wait()
		l.SetPod(t, l.Pods()["p"], lab.Ended(0))
		synctest.Wait()
		if _, err := api.Get(t.Context(), "g", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("still there when its pod has ended: %v", err)
		}
	})
}
