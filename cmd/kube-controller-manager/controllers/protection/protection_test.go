package protection

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// story runs the three controllers over what prepare puts there.
func story(t *testing.T, prepare, act func(t *testing.T, l *lab.Lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		prepare(t, l)
		claims, err := NewClaims(l.Informers, l.Client, Options{Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		attributes, err := NewAttributesClasses(l.Informers, l.Client, Options{})
		if err != nil {
			t.Fatal(err)
		}
		volumes := NewVolumes(l.Informers, l.Client, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { claims.Run(ctx) })
		group.Go(func() { attributes.Run(ctx) })
		group.Go(func() { volumes.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		synctest.Wait()
		act(t, l)
	})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(obj T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return obj
	}
}

func createClaim(t *testing.T, l *lab.Lab, name string) *v1.PersistentVolumeClaim {
	t.Helper()
	claim := &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Finalizers: []string{"kubernetes.io/pvc-protection"}}}
	return must[*v1.PersistentVolumeClaim](t)(l.Client.CoreV1().PersistentVolumeClaims("ns").Create(t.Context(), claim, metav1.CreateOptions{}))
}

func createUser(t *testing.T, l *lab.Lab, name, node, claim string) *v1.Pod {
	t.Helper()
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: v1.PodSpec{NodeName: node, Volumes: []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{
		PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}}}
	return must[*v1.Pod](t)(l.Client.CoreV1().Pods("ns").Create(t.Context(), pod, metav1.CreateOptions{}))
}

func deleteClaim(t *testing.T, l *lab.Lab, name string) {
	t.Helper()
	if err := l.Client.CoreV1().PersistentVolumeClaims("ns").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func claimIsThere(t *testing.T, l *lab.Lab, name string, want bool) {
	t.Helper()
	synctest.Wait()
	_, err := l.Client.CoreV1().PersistentVolumeClaims("ns").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if there := err == nil; there != want {
		t.Errorf("claim %s exists: %v, want %v", name, there, want)
	}
}

func TestAClaimOutlivesItsPods(t *testing.T) {
	story(t, func(t *testing.T, l *lab.Lab) {
		createClaim(t, l, "used")
		createClaim(t, l, "unused")
		createClaim(t, l, "of-a-waiting-pod")
		createUser(t, l, "runs", "node", "used")
		createUser(t, l, "waits", "", "of-a-waiting-pod")
	}, func(t *testing.T, l *lab.Lab) {
		for _, name := range []string{"used", "unused", "of-a-waiting-pod"} {
			deleteClaim(t, l, name)
		}
		claimIsThere(t, l, "used", true)
		claimIsThere(t, l, "unused", false)
		claimIsThere(t, l, "of-a-waiting-pod", false)
		if err := l.Client.CoreV1().Pods("ns").Delete(t.Context(), "runs", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		claimIsThere(t, l, "used", true)
		l.Gone(t, l.Pods()["runs"])
		claimIsThere(t, l, "used", false)
	})
}

func TestAPodThatTheCacheLacksHoldsItsClaim(t *testing.T) {
	story(t, func(t *testing.T, l *lab.Lab) { createClaim(t, l, "c") }, func(t *testing.T, l *lab.Lab) {
		l.Freeze("pods")
		createUser(t, l, "runs", "node", "c")
		deleteClaim(t, l, "c")
		claimIsThere(t, l, "c", true)
		l.Thaw()
		claimIsThere(t, l, "c", true)
	})
}

func TestClaimsThatGoTogetherShareOneLookAtThePods(t *testing.T) {
	l := lab.New(t)
	live := newLivePods(l.Client, holds, func(*v1.Pod) bool { return true })
	var claims []*v1.PersistentVolumeClaim
	for i := range 50 {
		claims = append(claims, createClaim(t, l, fmt.Sprint("c", i)))
		live.note(claims[i])
	}
	createUser(t, l, "p", "node", "c49")
	before := len(l.Client.Actions())
	for i, claim := range claims {
		used, err := live.use(t.Context(), claim)
		if err != nil || used != (i == 49) {
			t.Errorf("claim %s is used: %v, error %v", claim.Name, used, err)
		}
	}
	if lists := len(l.Client.Actions()) - before; lists != 2 { // a claim that was in use is asked for anew
		t.Errorf("the pods were listed %d times", lists)
	}
}

func TestAnOldObjectGetsItsFinalizer(t *testing.T) {
	story(t, func(*testing.T, *lab.Lab) {}, func(t *testing.T, l *lab.Lab) {
		must[*v1.PersistentVolume](t)(l.Client.CoreV1().PersistentVolumes().Create(t.Context(), &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}}, metav1.CreateOptions{}))
		synctest.Wait()
		pv := must[*v1.PersistentVolume](t)(l.Client.CoreV1().PersistentVolumes().Get(t.Context(), "pv", metav1.GetOptions{}))
		if len(pv.Finalizers) != 1 || pv.Finalizers[0] != "kubernetes.io/pv-protection" {
			t.Errorf("finalizers %v", pv.Finalizers)
		}
	})
}

func TestAVolumeStaysWhileItIsBound(t *testing.T) {
	story(t, func(t *testing.T, l *lab.Lab) {
		pv := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv", Finalizers: []string{"kubernetes.io/pv-protection"}}, Status: v1.PersistentVolumeStatus{Phase: v1.VolumeBound}}
		must[*v1.PersistentVolume](t)(l.Client.CoreV1().PersistentVolumes().Create(t.Context(), pv, metav1.CreateOptions{}))
	}, func(t *testing.T, l *lab.Lab) {
		volumes := l.Client.CoreV1().PersistentVolumes()
		if err := volumes.Delete(t.Context(), "pv", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		pv := must[*v1.PersistentVolume](t)(volumes.Get(t.Context(), "pv", metav1.GetOptions{}))
		pv.Status.Phase = v1.VolumeReleased
		must[*v1.PersistentVolume](t)(volumes.UpdateStatus(t.Context(), pv, metav1.UpdateOptions{}))
		synctest.Wait()
		if _, err := volumes.Get(t.Context(), "pv", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("error %v, want the volume gone", err)
		}
	})
}

func TestAnAttributesClassStaysWhileItIsNamed(t *testing.T) {
	story(t, func(t *testing.T, l *lab.Lab) {
		class := &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: "gold", Finalizers: []string{"kubernetes.io/vac-protection"}}}
		must[*storagev1.VolumeAttributesClass](t)(l.Client.StorageV1().VolumeAttributesClasses().Create(t.Context(), class, metav1.CreateOptions{}))
		claim := createClaim(t, l, "c")
		claim.Status.CurrentVolumeAttributesClassName = ptr.To("gold")
		must[*v1.PersistentVolumeClaim](t)(l.Client.CoreV1().PersistentVolumeClaims("ns").UpdateStatus(t.Context(), claim, metav1.UpdateOptions{}))
	}, func(t *testing.T, l *lab.Lab) {
		classes := l.Client.StorageV1().VolumeAttributesClasses()
		if err := classes.Delete(t.Context(), "gold", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		must[*storagev1.VolumeAttributesClass](t)(classes.Get(t.Context(), "gold", metav1.GetOptions{}))
		deleteClaim(t, l, "c")
		synctest.Wait()
		if _, err := classes.Get(t.Context(), "gold", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("error %v, want the class gone", err)
		}
	})
}

func TestAClaimThatTheCacheLacksHoldsItsAttributesClass(t *testing.T) {
	story(t, func(t *testing.T, l *lab.Lab) {
		class := &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: "gold", Finalizers: []string{"kubernetes.io/vac-protection"}}}
		must[*storagev1.VolumeAttributesClass](t)(l.Client.StorageV1().VolumeAttributesClasses().Create(t.Context(), class, metav1.CreateOptions{}))
	}, func(t *testing.T, l *lab.Lab) {
		l.Freeze("persistentvolumeclaims")
		claim := createClaim(t, l, "c")
		claim.Spec.VolumeAttributesClassName = ptr.To("gold")
		must[*v1.PersistentVolumeClaim](t)(l.Client.CoreV1().PersistentVolumeClaims("ns").Update(t.Context(), claim, metav1.UpdateOptions{}))
		if err := l.Client.StorageV1().VolumeAttributesClasses().Delete(t.Context(), "gold", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		must[*storagev1.VolumeAttributesClass](t)(l.Client.StorageV1().VolumeAttributesClasses().Get(t.Context(), "gold", metav1.GetOptions{}))
	})
}
