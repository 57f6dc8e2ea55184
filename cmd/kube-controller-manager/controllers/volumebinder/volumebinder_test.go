package volumebinder

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

func TestTheSmallestFittingVolumeIsBound(t *testing.T) {
	story(t, func(s *stage) {
		s.volume("small", "1Gi", nil)
		s.volume("large", "10Gi", nil)
		s.volume("fits", "3Gi", nil)
		s.volume("more-modes", "2Gi", func(pv *v1.PersistentVolume) {
			pv.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce, v1.ReadWriteMany}
		})
		s.volume("block", "2Gi", func(pv *v1.PersistentVolume) { pv.Spec.VolumeMode = ptr.To(v1.PersistentVolumeBlock) })
		s.volume("gold", "2Gi", func(pv *v1.PersistentVolume) { pv.Spec.StorageClassName = "gold" })
	}, func(s *stage) {
		s.volumeIs("small", "Available")
		s.claim("c", "2Gi", nil)
		s.settle()
		s.claimIs("c", "Bound fits")
		s.volumeIs("fits", "Bound c")
		claim, pv := s.getClaim("c"), s.getVolume("fits")
		if pv.Spec.ClaimRef.UID != claim.UID || pv.Annotations[volume.AnnBoundByController] != "yes" || pv.Status.LastPhaseTransitionTime == nil {
			s.Errorf("volume %+v is not bound as a controller does", pv)
		}
		if claim.Annotations[volume.AnnBindCompleted] != "yes" || claim.Annotations[volume.AnnBoundByController] != "yes" {
			s.Errorf("annotations of the claim %v", claim.Annotations)
		}
		if got := claim.Status.Capacity[v1.ResourceStorage]; got.String() != "3Gi" || len(claim.Status.AccessModes) != 1 {
			s.Errorf("status of the claim %+v", claim.Status)
		}
	})
}

func TestAClaimWaitsForAVolumeThatSuits(t *testing.T) {
	story(t, nothing, func(s *stage) {
		s.claim("c", "2Gi", func(c *v1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"disk": "fast"}}
		})
		s.settle()
		s.told("Normal FailedBinding no persistent volumes available for this claim and no storage class is set")
		s.volume("slow", "5Gi", nil)
		s.settle()
		s.claimIs("c", "Pending")
		s.volume("fast", "5Gi", func(pv *v1.PersistentVolume) { pv.Labels = map[string]string{"disk": "fast"} })
		s.settle() // no period is waited for
		s.claimIs("c", "Bound fast")
	})
}

func TestUsersReserve(t *testing.T) {
	for name, c := range map[string]struct {
		volume func(*v1.PersistentVolume)
		claim  func(*v1.PersistentVolumeClaim)
		claimIs, volumeIs,
		told string
	}{
		"the volume names the claim": {volume: func(pv *v1.PersistentVolume) {
			pv.Spec.ClaimRef = &v1.ObjectReference{Namespace: "ns", Name: "c"}
		}, claimIs: "Bound pv", volumeIs: "Bound c"},
		"the volume names another claim": {volume: func(pv *v1.PersistentVolume) {
			pv.Spec.ClaimRef = &v1.ObjectReference{Namespace: "ns", Name: "other"}
		}, claimIs: "Pending", volumeIs: "Available other"},
		"the claim names the volume": {claim: func(c *v1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv" }, claimIs: "Bound pv", volumeIs: "Bound c"},
		"the claim names a volume that is too small": {claim: func(c *v1.PersistentVolumeClaim) {
			c.Spec.VolumeName, c.Spec.Resources.Requests = "pv", v1.ResourceList{v1.ResourceStorage: resource.MustParse("9Gi")}
		}, claimIs: "Pending pv", volumeIs: "Available", told: `Warning VolumeMismatch Cannot bind to requested volume "pv": requested PV is too small`},
		"the claim names a volume of another class": {
			volume: func(pv *v1.PersistentVolume) { pv.Spec.StorageClassName = "gold" }, claim: func(c *v1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv" },
			claimIs: "Pending pv", volumeIs: "Available", told: `Cannot bind to requested volume "pv": storageClassName does not match`},
		"the claim names a taken volume": {volume: func(pv *v1.PersistentVolume) {
			pv.Spec.ClaimRef = &v1.ObjectReference{Namespace: "ns", Name: "other"}
		}, claim: func(c *v1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv" },
			claimIs: "Pending pv", volumeIs: "Available other", told: `Warning FailedBinding volume "pv" already bound to a different claim.`},
		"modes that differ": {volume: func(pv *v1.PersistentVolume) {
			pv.Spec.VolumeMode, pv.Spec.ClaimRef = ptr.To(v1.PersistentVolumeBlock), &v1.ObjectReference{Namespace: "ns", Name: "c"}
		}, claimIs: "Pending", volumeIs: "Available c"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(s *stage) {
				s.claim("c", "2Gi", c.claim)
				s.volume("pv", "3Gi", c.volume)
			}, func(s *stage) {
				s.claimIs("c", c.claimIs)
				s.volumeIs("pv", c.volumeIs)
				s.told(c.told)
			})
		})
	}
}

func TestADelayedClaimWaitsForTheScheduler(t *testing.T) {
	story(t, func(s *stage) {
		s.class("local", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer, false)
		s.volume("pv", "3Gi", func(pv *v1.PersistentVolume) { pv.Spec.StorageClassName = "local" })
		s.claim("c", "2Gi", func(c *v1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("local") })
	}, func(s *stage) {
		s.claimIs("c", "Pending")
		s.told("Normal WaitForFirstConsumer waiting for first consumer to be created before binding")
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: v1.PodSpec{Volumes: []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{
			PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}}}
		if _, err := s.Client.CoreV1().Pods("ns").Create(s.Context(), pod, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
		s.settle()
		s.told("Normal WaitForPodScheduled waiting for pod p to be scheduled")
		pv, _, err := volume.GetBindVolumeToClaim(s.getVolume("pv"), s.getClaim("c")) // as the scheduler does
		if err != nil {
			s.Fatal(err)
		}
		if _, err := s.Client.CoreV1().PersistentVolumes().Update(s.Context(), pv, metav1.UpdateOptions{}); err != nil {
			s.Fatal(err)
		}
		s.settle()
		s.claimIs("c", "Bound pv")
		s.volumeIs("pv", "Bound c")
	})
}

func TestProvisionersAreAsked(t *testing.T) {
	gold := func(c *v1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("gold") }
	for name, c := range map[string]struct {
		prepare     func(*stage)
		claim       func(*v1.PersistentVolumeClaim)
		provisioner string
		told        string
	}{
		"immediately": {func(s *stage) { s.class("gold", "disks.example.com", storagev1.VolumeBindingImmediate, false) }, gold, "disks.example.com",
			"Normal ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'disks.example.com' or manually by the system administrator."},
		"once a node is selected": {func(s *stage) {
			s.class("gold", "disks.example.com", storagev1.VolumeBindingWaitForFirstConsumer, false)
		}, func(c *v1.PersistentVolumeClaim) {
			gold(c)
			c.Annotations = map[string]string{volume.AnnSelectedNode: "n"}
		}, "disks.example.com", "ExternalProvisioning"},
		"no class": {nothing, gold, "", `Warning ProvisioningFailed storageclass.storage.k8s.io "gold" not found`},
		"no provisioner": {func(s *stage) {
			s.class("gold", "kubernetes.io/no-provisioner", storagev1.VolumeBindingImmediate, false)
		}, gold, "", "ProvisioningFailed no volume plugin matched name: kubernetes.io/no-provisioner"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(s *stage) { c.prepare(s); s.claim("c", "1Gi", c.claim) }, func(s *stage) {
				claim := s.getClaim("c")
				if claim.Annotations[volume.AnnStorageProvisioner] != c.provisioner || claim.Annotations[volume.AnnBetaStorageProvisioner] != c.provisioner {
					s.Errorf("annotations %v, want the provisioner %q", claim.Annotations, c.provisioner)
				}
				s.told(c.told)
				if c.provisioner == "" {
					return
				}
				s.volume("made", "1Gi", func(pv *v1.PersistentVolume) { // as a provisioner does
					pv.Spec.StorageClassName, pv.Annotations = "gold", map[string]string{volume.AnnDynamicallyProvisioned: c.provisioner}
					pv.Spec.ClaimRef = &v1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: "ns", Name: "c", UID: claim.UID}
				})
				s.settle()
				s.claimIs("c", "Bound made")
			})
		})
	}
}

func TestClaimsWithoutAClassGetTheDefaultLater(t *testing.T) {
	story(t, func(s *stage) {
		s.claim("c", "1Gi", func(c *v1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil })
		s.claim("none", "1Gi", nil)
	}, func(s *stage) {
		s.class("old", "disks.example.com", storagev1.VolumeBindingWaitForFirstConsumer, true)
		s.settle()
		if got := s.getClaim("c").Spec.StorageClassName; got == nil || *got != "old" {
			s.Errorf("class %v, want old", got)
		}
		if got := *s.getClaim("none").Spec.StorageClassName; got != "" {
			s.Errorf("a claim that wants no class got %q", got)
		}
		s.class("young", "disks.example.com", storagev1.VolumeBindingImmediate, true)
		s.settle()
		s.claim("d", "1Gi", func(c *v1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil })
		s.settle()
		if got := s.getClaim("d").Spec.StorageClassName; got == nil || *got != "young" {
			s.Errorf("class %v, want the youngest default", got)
		}
	})
}

func TestReleasedVolumes(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*v1.PersistentVolume)
		phase   string // empty: deleted
		message string
		removed string
	}{
		"Retain": {func(*v1.PersistentVolume) {}, "Released", "", ""},
		"Delete of a directory": {func(pv *v1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimDelete
		},
			"", "", "/tmp/pv"},
		"Delete of a directory elsewhere": {func(pv *v1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimDelete
			pv.Spec.HostPath.Path = "/tmp/../etc"
		}, "Failed", "host_path deleter only supports /tmp/.+ but received provided /tmp/../etc", ""},
		"Delete of a CSI volume that was provisioned": {func(pv *v1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimDelete
			pv.Annotations = map[string]string{volume.AnnDynamicallyProvisioned: "disks.example.com"}
			pv.Spec.PersistentVolumeSource = v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: "h"}}
		}, "Released", "", ""},
		"Delete of a CSI volume made by hand": {func(pv *v1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimDelete
			pv.Spec.PersistentVolumeSource = v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: "h"}}
		}, "Failed", `error getting deleter volume plugin for volume "pv": no deletable volume plugin matched`, ""},
		"Recycle": {func(pv *v1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimRecycle
		},
			"Failed", "No recycler plugin found for the volume!", ""},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(s *stage) {
				s.volume("pv", "3Gi", c.edit)
				s.claim("c", "2Gi", nil)
			}, func(s *stage) {
				s.claimIs("c", "Bound pv")
				s.deleteClaim("c")
				pv, err := s.Client.CoreV1().PersistentVolumes().Get(s.Context(), "pv", metav1.GetOptions{})
				if c.phase == "" && !apierrors.IsNotFound(err) {
					s.Fatalf("the volume is there still: %v, %v", pv, err)
				}
				if c.phase != "" && (err != nil || string(pv.Status.Phase) != c.phase || pv.Status.Message != c.message) {
					s.Errorf("volume %s %q (error %v), want %s %q", pv.Status.Phase, pv.Status.Message, err, c.phase, c.message)
				}
				if got := strings.Join(s.removed, " "); got != c.removed {
					s.Errorf("removed %q, want %q", got, c.removed)
				}
				s.claim("c", "2Gi", nil) // another claim of the same name has no right to the data
				s.settle()
				s.claimIs("c", "Pending")
			})
		})
	}
}

func TestAFailedRemovalIsRepeated(t *testing.T) {
	story(t, func(s *stage) {
		s.refuse = errors.New("device busy")
		s.volume("pv", "3Gi", func(pv *v1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimDelete
		})
		s.claim("c", "2Gi", nil)
	}, func(s *stage) {
		s.deleteClaim("c")
		s.volumeIs("pv", "Failed c")
		s.told("Warning VolumeFailedDelete device busy")
		s.refuse = nil
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if _, err := s.Client.CoreV1().PersistentVolumes().Get(s.Context(), "pv", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			s.Errorf("error %v, want the volume gone", err)
		}
	})
}

func TestLostAndFound(t *testing.T) {
	story(t, func(s *stage) {
		s.volume("pv", "3Gi", nil)
		s.claim("c", "2Gi", nil)
	}, func(s *stage) {
		kept := s.getVolume("pv")
		if err := s.Client.CoreV1().PersistentVolumes().Delete(s.Context(), "pv", metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
		s.settle()
		s.claimIs("c", "Lost pv")
		s.told("Warning ClaimLost Bound claim has lost its PersistentVolume. Data on the volume is lost!")
		kept.ResourceVersion = ""
		if _, err := s.Client.CoreV1().PersistentVolumes().Create(s.Context(), kept, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
		s.settle()
		s.claimIs("c", "Bound pv")
		claim := s.getClaim("c")
		if got := claim.Status.Capacity[v1.ResourceStorage]; got.String() != "3Gi" {
			s.Errorf("capacity %s, want 3Gi", got.String())
		}
	})
}

func TestAProvisionedVolumeThatCameTooLateIsReleased(t *testing.T) {
	story(t, func(s *stage) {
		s.volume("first", "3Gi", nil)
		claim := s.claim("c", "2Gi", nil)
		s.volume("late", "2Gi", func(pv *v1.PersistentVolume) {
			pv.Spec.ClaimRef = &v1.ObjectReference{Namespace: "ns", Name: "c", UID: claim.UID}
			pv.Annotations = map[string]string{volume.AnnDynamicallyProvisioned: "disks.example.com"}
			pv.Spec.PersistentVolumeReclaimPolicy = v1.PersistentVolumeReclaimDelete
		})
		s.volume("mine", "2Gi", func(pv *v1.PersistentVolume) {
			pv.Spec.ClaimRef = &v1.ObjectReference{Namespace: "ns", Name: "c", UID: claim.UID}
			pv.Annotations = map[string]string{volume.AnnBoundByController: "yes"}
		})
		claim.Spec.VolumeName = "first"
		if _, err := s.Client.CoreV1().PersistentVolumeClaims("ns").Update(s.Context(), claim, metav1.UpdateOptions{}); err != nil {
			s.Fatal(err)
		}
	}, func(s *stage) {
		s.claimIs("c", "Bound first")
		s.volumeIs("late", "Released c")
		s.volumeIs("mine", "Available")
	})
}

// Whatever the caches show and whichever write fails, no volume ends up with two claims and each claim gets one volume.
func TestNoVolumeIsBoundTwice(t *testing.T) {
	story(t, func(s *stage) {
		n := 0
		var mu sync.Mutex
		s.Fail = func(verb, _, _ string, _ runtime.Object) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; verb == "update" && n%5 == 0 {
				return apierrors.NewInternalError(errors.New("storage is away"))
			}
			return nil
		}
		for i := range 20 {
			s.volume(fmt.Sprintf("pv%d", i), "1Gi", nil)
			s.claim(fmt.Sprintf("c%d", i), "1Gi", nil)
		}
	}, func(s *stage) {
		s.Freeze("persistentvolumes")
		s.claim("late", "1Gi", nil)
		s.settle()
		s.Thaw()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		owner := map[string]string{}
		for i := range 20 {
			claim := s.getClaim(fmt.Sprintf("c%d", i))
			if claim.Status.Phase == v1.ClaimPending {
				claim = s.getClaim("late") // took the place
			}
			if other := owner[claim.Spec.VolumeName]; claim.Status.Phase != v1.ClaimBound || other != "" && other != claim.Name {
				s.Errorf("claim %s is %s with volume %q, which %q has too", claim.Name, claim.Status.Phase, claim.Spec.VolumeName, other)
			}
			if claim.Spec.VolumeName == "" {
				continue
			}
			owner[claim.Spec.VolumeName] = claim.Name
			if ref := s.getVolume(claim.Spec.VolumeName).Spec.ClaimRef; ref == nil || ref.UID != claim.UID {
				s.Errorf("volume %s has the reference %v, want %s", claim.Spec.VolumeName, ref, claim.Name)
			}
		}
		if len(owner) != 20 {
			s.Errorf("%d volumes are in use, want 20", len(owner))
		}
	})
}
