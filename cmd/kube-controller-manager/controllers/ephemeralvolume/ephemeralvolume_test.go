package ephemeralvolume

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestClaimsOfTemplates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		loop, err := New(l.Informers, l.Client, l.Events, Options{Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		claims := l.Client.CoreV1().PersistentVolumeClaims("ns")
		if _, err := claims.Create(ctx, &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p-taken"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		template := v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{VolumeClaimTemplate: &v1.PersistentVolumeClaimTemplate{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"}},
			Spec:       v1.PersistentVolumeClaimSpec{AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}},
		}}}
		pod, err := l.Client.CoreV1().Pods("ns").Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: v1.PodSpec{Volumes: []v1.Volume{
			{Name: "scratch", VolumeSource: template}, {Name: "taken", VolumeSource: template}, {Name: "none", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}},
		}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		claim, err := claims.Get(ctx, "p-scratch", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !metav1.IsControlledBy(claim, pod) || claim.Labels["l"] != "1" || claim.Annotations["a"] != "2" || len(claim.Spec.AccessModes) != 1 {
			t.Errorf("claim %+v", claim)
		}
		if got := strings.Join(l.Recorded(), "\n"); !strings.Contains(got, "Warning FailedBinding ephemeral volume taken: PVC ns/p-taken was not created for pod ns/p (pod is not owner)") {
			t.Errorf("events %s", got)
		}
		// Once the stranger is gone, the claim is made; one that a user deletes is made again.
		for _, name := range []string{"p-taken", "p-scratch"} {
			if err := claims.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if claim, err = claims.Get(ctx, name, metav1.GetOptions{}); err != nil || !metav1.IsControlledBy(claim, pod) {
				t.Errorf("claim %s: %v, error %v", name, claim, err)
			}
		}
	})
}
