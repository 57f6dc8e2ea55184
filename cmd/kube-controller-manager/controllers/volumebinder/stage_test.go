package volumebinder

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// stage is a binder over a lab.
type stage struct {
	*testing.T
	*lab.Lab
	removed []string
	refuse  error // of the removal of a directory
}

// story runs a binder over what prepare puts there.
func story(t *testing.T, prepare, act func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t, Lab: lab.New(t)}
		prepare(s)
		loop, err := New(s.Informers, s.Client, s.Events, Options{Provisioning: true, RemoveAll: func(path string) error {
			s.removed = append(s.removed, path)
			return s.refuse
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); s.Informers.Shutdown() }()
		s.settle()
		act(s)
	})
}

// settle lets everything happen that needs no time beyond a retry.
func (s *stage) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func (s *stage) volume(name, size string, edit func(*v1.PersistentVolume)) {
	s.Helper()
	pv := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.PersistentVolumeSpec{
		Capacity: v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
		PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimRetain,
		PersistentVolumeSource:        v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/tmp/" + name}},
	}, Status: v1.PersistentVolumeStatus{Phase: v1.VolumePending}}
	if edit != nil {
		edit(pv)
	}
	if _, err := s.Client.CoreV1().PersistentVolumes().Create(s.Context(), pv, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) claim(name, size string, edit func(*v1.PersistentVolumeClaim)) *v1.PersistentVolumeClaim {
	s.Helper()
	claim := &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: v1.PersistentVolumeClaimSpec{
		AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, StorageClassName: ptr.To(""),
		Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}},
	}, Status: v1.PersistentVolumeClaimStatus{Phase: v1.ClaimPending}}
	if edit != nil {
		edit(claim)
	}
	claim, err := s.Client.CoreV1().PersistentVolumeClaims("ns").Create(s.Context(), claim, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return claim
}

func (s *stage) class(name, provisioner string, mode storagev1.VolumeBindingMode, isDefault bool) {
	s.Helper()
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
	if isDefault {
		class.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	}
	if _, err := s.Client.StorageV1().StorageClasses().Create(s.Context(), class, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) getClaim(name string) *v1.PersistentVolumeClaim {
	s.Helper()
	claim, err := s.Client.CoreV1().PersistentVolumeClaims("ns").Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return claim
}

func (s *stage) getVolume(name string) *v1.PersistentVolume {
	s.Helper()
	pv, err := s.Client.CoreV1().PersistentVolumes().Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return pv
}

// claimIs compares "phase volume" of a claim.
func (s *stage) claimIs(name, want string) {
	s.Helper()
	claim := s.getClaim(name)
	if got := strings.TrimSpace(string(claim.Status.Phase) + " " + claim.Spec.VolumeName); got != want {
		s.Errorf("claim %s is %q, want %q", name, got, want)
	}
}

// volumeIs compares "phase claim" of a volume.
func (s *stage) volumeIs(name, want string) {
	s.Helper()
	pv, claim := s.getVolume(name), ""
	if pv.Spec.ClaimRef != nil {
		claim = " " + pv.Spec.ClaimRef.Name
	}
	if got := string(pv.Status.Phase) + claim; got != want {
		s.Errorf("volume %s is %q, want %q", name, got, want)
	}
}

func (s *stage) told(want string) {
	s.Helper()
	if got := s.Recorded(); want != "" && !slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, want) }) {
		s.Errorf("events %q, want %q", got, want)
	}
}

func (s *stage) deleteClaim(name string) {
	s.Helper()
	if err := s.Client.CoreV1().PersistentVolumeClaims("ns").Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.settle()
}

func nothing(*stage) {}
