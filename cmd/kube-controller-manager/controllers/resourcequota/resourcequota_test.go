package resourcequota_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata/metadatainformer"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/resourcequota"
)

// served is a server with ReplicaSets.
type served struct{}

func (served) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	return []*metav1.APIResourceList{{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{
		{Name: "replicasets", Kind: "ReplicaSet", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch", "delete"}},
	}}}, nil
}

// TestObjectCountsAreReleased: what count/<resource>.<group> counts goes down when an object ends, not at the next resync.
func TestObjectCountsAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(
			&v1.ResourceQuota{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "q"},
				Spec: v1.ResourceQuotaSpec{Hard: v1.ResourceList{"count/replicasets.apps": resource.MustParse("5")}}},
			&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "r"}},
		)
		mapper := meta.NewDefaultRESTMapper(nil)
		mapper.Add(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), meta.RESTScopeNamespace)
		watcher := kinds.New(kinds.Config{Metadata: l.Metadata(), Discovery: served{}})
		metadataInformers := metadatainformer.NewSharedInformerFactory(l.Metadata(), 0)
		controller := resourcequota.New(resourcequota.Config{Informers: l.Informers, MetadataInformers: metadataInformers, Client: l.Client,
			Metadata: l.Metadata(), Kinds: watcher, Mapper: mapper, Workers: 1, Resync: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		metadataInformers.Start(ctx.Done())
		var group sync.WaitGroup
		group.Go(func() { watcher.Run(ctx) })
		t.Cleanup(func() { cancel(); group.Wait(); metadataInformers.Shutdown() })
		l.Run(t, controller)
		used := func(when, want string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			q, err := l.Client.CoreV1().ResourceQuotas("a").Get(t.Context(), "q", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got, counted := q.Status.Used["count/replicasets.apps"]
			if !counted || got.String() != want {
				t.Errorf("%s: used is %v, not %s", when, q.Status.Used, want)
			}
		}
		used("with one ReplicaSet", "1")
		if err := l.Client.AppsV1().ReplicaSets("a").Delete(t.Context(), "r", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		used("after its deletion", "0")
	})
}
