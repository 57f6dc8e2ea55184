package horizontalpodautoscaler

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	autoscalinglisters "k8s.io/client-go/listers/autoscaling/v2"
	"k8s.io/client-go/tools/cache"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/pkg/reconcile"
)

// TestRivals: autoscalers of one namespace that have looked at a target and size the same pods know of each other.
func TestRivals(t *testing.T) {
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	c := &controller{memories: map[types.UID]*memory{}, hpas: autoscalinglisters.NewHorizontalPodAutoscalerLister(store)}
	web := []*v1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}}}
	looks := func(namespace, name, selector string, list []*v1.Pod) string {
		t.Helper()
		hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name)}}
		if err := store.Add(hpa); err != nil {
			t.Fatal(err)
		}
		c.memoryOf(hpa)
		parsed, err := labels.Parse(selector)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(c.rivals(hpa.UID, parsed, list))
	}
	for _, tt := range []struct {
		namespace, name, selector string
		list                      []*v1.Pod
		want                      string
	}{
		{"shop", "first", "app=web", web, "[]"},
		{"shop", "db", "app=db", nil, "[]"},
		{"other", "first", "app=web", web, "[]"},
		{"shop", "second", "app", web, "[shop/first]"},
		{"shop", "first", "app=web", web, "[shop/second]"},
		{"shop", "first", "app=web", nil, "[]"},
	} {
		if got := looks(tt.namespace, tt.name, tt.selector, tt.list); got != tt.want {
			t.Errorf("%s/%s of %s: rivals %s, want %s", tt.namespace, tt.name, tt.selector, got, tt.want)
		}
	}
}

// An autoscaler that is replaced under its name, and looks that end after their autoscaler, leave nothing that rivals the successor.
func TestNothingIsRememberedOfADeletedAutoscaler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		stored := func(uid types.UID) *autoscalingv2.HorizontalPodAutoscaler {
			hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: uid}}
			l.Seed(hpa)
			synctest.Wait()
			return hpa
		}
		hpas := l.Informers.Autoscaling().V2().HorizontalPodAutoscalers()
		c := &controller{memories: map[types.UID]*memory{}, hpas: hpas.Lister(), hpaInf: hpas.Informer()}
		c.loop = reconcile.New("horizontalpodautoscaler", reconcile.Func(func(context.Context, reconcile.Key) (reconcile.Result, error) { return reconcile.Result{}, nil }), reconcile.Options{})
		if err := c.follow(); err != nil {
			t.Fatal(err)
		}
		l.Run(t, c.loop)
		first := stored("first")
		c.memoryOf(first)
		second := stored("second") // the cache missed that the first one went
		c.memoryOf(first)
		c.memoryOf(second)
		if len(c.memories) != 1 || c.memories["second"] == nil {
			t.Errorf("memories %v, want that of the second alone", c.memories)
		}
		if err := l.Client.AutoscalingV2().HorizontalPodAutoscalers("shop").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.memoryOf(second)
		if len(c.memories) != 0 {
			t.Errorf("memories %v of no autoscaler", c.memories)
		}
	})
}
