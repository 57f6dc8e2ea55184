package volumeexpand

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestAGrowingClaimIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		loop := New(l.Informers.Core().V1().PersistentVolumeClaims(), l.Informers.Core().V1().PersistentVolumes(), l.Events)
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		size := func(s string) v1.ResourceList { return v1.ResourceList{v1.ResourceStorage: resource.MustParse(s)} }
		if _, err := l.Client.CoreV1().PersistentVolumes().Create(ctx, &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		claims := l.Client.CoreV1().PersistentVolumeClaims("ns")
		claim, err := claims.Create(ctx, &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"},
			Spec:   v1.PersistentVolumeClaimSpec{VolumeName: "pv", Resources: v1.VolumeResourceRequirements{Requests: size("1Gi")}},
			Status: v1.PersistentVolumeClaimStatus{Phase: v1.ClaimBound, Capacity: size("1Gi")}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		update := func(what string, want int, change func()) {
			t.Helper()
			change()
			if claim, err = claims.Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := strings.Count(strings.Join(l.Recorded(), "\n"), "Normal ExternalExpanding waiting for an external controller to expand this PVC"); got != want {
				t.Errorf("%s: told %d times, want %d", what, got, want)
			}
		}
		update("as large as wanted", 0, func() {})
		update("larger wanted", 1, func() { claim.Spec.Resources.Requests = size("2Gi") })
		update("still growing", 0, func() {
			claim.Status.Conditions = []v1.PersistentVolumeClaimCondition{{Type: v1.PersistentVolumeClaimResizing, Status: v1.ConditionTrue}}
		})
		update("grown", 0, func() { claim.Status.Capacity = size("2Gi") })
		update("larger again", 1, func() { claim.Spec.Resources.Requests = size("3Gi") })
	})
}
