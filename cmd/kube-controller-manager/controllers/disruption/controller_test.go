package disruption

import (
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// What was announced and did not come is taken back, except what a kubelet does itself.
func TestAnnouncementsAreTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		for name, reason := range map[string]string{"evicted": "EvictionByEvictionAPI", "starved": v1.PodReasonTerminationByKubelet} {
			l.Seed(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name}, Status: v1.PodStatus{Phase: v1.PodRunning, Conditions: []v1.PodCondition{
				{Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.Now()},
			}}})
		}
		l.Run(t, New(l.Informers.Policy().V1().PodDisruptionBudgets(), l.Informers.Core().V1().Pods(), Owners{}, l.Client, l.Events, Options{}))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for name, want := range map[string]v1.ConditionStatus{"evicted": v1.ConditionFalse, "starved": v1.ConditionTrue} {
			if got := pods.Condition(l.Pods()[name], v1.DisruptionTarget).Status; got != want {
				t.Errorf("%s: DisruptionTarget is %s, want %s", name, got, want)
			}
		}
	})
}

// A ReplicaSet counts with its Deployment's size, or with its own when it has another owner or one that is gone.
func TestSizesOfReplicaSets(t *testing.T) {
	sets, deployments := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil), cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	c := &Controller{owners: Owners{ReplicaSets: appslisters.NewReplicaSetLister(sets), Deployments: appslisters.NewDeploymentLister(deployments)}}
	meta := func(name string, owner ...metav1.OwnerReference) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "d", Name: name, UID: types.UID(name), OwnerReferences: owner}
	}
	owner := func(kind, name string) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "example.org/v1", Kind: kind, Name: name, UID: types.UID(name), Controller: ptr.To(true)}
	}
	if err := deployments.Add(&appsv1.Deployment{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](5)}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		up   []metav1.OwnerReference
		uid  types.UID
		want int32
	}{
		{"alone", nil, "alone", 3}, {"deployed", []metav1.OwnerReference{owner("Deployment", "web")}, "web", 5},
		{"orphan", []metav1.OwnerReference{owner("Deployment", "gone")}, "orphan", 3}, {"custom", []metav1.OwnerReference{owner("Rollout", "r")}, "custom", 3},
	} {
		if err := sets.Add(&appsv1.ReplicaSet{ObjectMeta: meta(tt.name, tt.up...), Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](3)}}); err != nil {
			t.Fatal(err)
		}
		ref := owner("ReplicaSet", tt.name)
		if uid, n, err := c.size(t.Context(), "d", &ref); err != nil || uid != tt.uid || n != tt.want {
			t.Errorf("%s: %d pods of %s, error %v; want %d of %s", tt.name, n, uid, err, tt.want, tt.uid)
		}
	}
}
