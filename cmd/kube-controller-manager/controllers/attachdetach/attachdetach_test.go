package attachdetach

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// stage is a controller over a lab with two nodes and the bound claim "c" of the volume "pv".
type stage struct {
	*testing.T
	*lab.Lab
}

func story(t *testing.T, edit func(*v1.PersistentVolume), act func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t, lab.New(t)}
		for _, name := range []string{"a", "b"} {
			s.create(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{managed: "true"}},
				Status: v1.NodeStatus{Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}}})
		}
		claim := &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}, Spec: v1.PersistentVolumeClaimSpec{VolumeName: "pv"}, Status: v1.PersistentVolumeClaimStatus{Phase: v1.ClaimBound}}
		s.create(claim)
		claim, err := s.Client.CoreV1().PersistentVolumeClaims("ns").Get(t.Context(), "c", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pv := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: v1.PersistentVolumeSpec{
			AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, ClaimRef: &v1.ObjectReference{Namespace: "ns", Name: "c", UID: claim.UID},
			PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: "h"}},
		}}
		edit(pv)
		s.create(pv)
		loop, err := New(s.Informers, s.Client, s.Events, Options{Resync: time.Minute, ForceDetach: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); s.Informers.Shutdown() }()
		synctest.Wait()
		act(s)
	})
}

func (s *stage) create(obj runtime.Object) {
	s.Helper()
	var err error
	switch o := obj.(type) {
	case *v1.Node:
		_, err = s.Client.CoreV1().Nodes().Create(s.Context(), o, metav1.CreateOptions{})
	case *v1.PersistentVolume:
		_, err = s.Client.CoreV1().PersistentVolumes().Create(s.Context(), o, metav1.CreateOptions{})
	case *v1.PersistentVolumeClaim:
		_, err = s.Client.CoreV1().PersistentVolumeClaims("ns").Create(s.Context(), o, metav1.CreateOptions{})
	case *v1.Pod:
		_, err = s.Client.CoreV1().Pods("ns").Create(s.Context(), o, metav1.CreateOptions{})
	case *storagev1.CSIDriver:
		_, err = s.Client.StorageV1().CSIDrivers().Create(s.Context(), o, metav1.CreateOptions{})
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) pod(name, node string) {
	s.Helper()
	s.create(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: v1.PodSpec{NodeName: node, Volumes: []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{
		PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}}})
}

// attachments are "node" or "node attached" of each there is.
func (s *stage) attachments() string {
	s.Helper()
	synctest.Wait()
	list, err := s.Client.StorageV1().VolumeAttachments().List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	var out []string
	for _, a := range list.Items {
		if a.Spec.Attacher != "disks.example.com" || a.Name != NameOf(&v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: "h"}, a.Spec.NodeName) {
			s.Errorf("attachment %+v", a)
		}
		text := a.Spec.NodeName
		if a.Status.Attached {
			text += " attached"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// attacher does what a driver's attacher does.
func (s *stage) attacher(node string, change func(*storagev1.VolumeAttachment)) {
	s.Helper()
	name := NameOf(&v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: "h"}, node)
	a, err := s.Client.StorageV1().VolumeAttachments().Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	change(a)
	if _, err := s.Client.StorageV1().VolumeAttachments().UpdateStatus(s.Context(), a, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) node(name string, change func(*v1.Node)) *v1.Node {
	s.Helper()
	n, err := s.Client.CoreV1().Nodes().Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	change(n)
	if n, err = s.Client.CoreV1().Nodes().UpdateStatus(s.Context(), n, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
	return n
}

func (s *stage) remove(pod string) {
	s.Helper()
	if err := s.Client.CoreV1().Pods("ns").Delete(s.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) told(want string) {
	s.Helper()
	synctest.Wait()
	if got := strings.Join(s.Recorded(), "\n"); !strings.Contains(got, want) {
		s.Errorf("events %q, want %q", got, want)
	}
}

func (s *stage) is(what, want string) {
	s.Helper()
	if got := s.attachments(); got != want {
		s.Errorf("%s: attachments %q, want %q", what, got, want)
	}
}

func plain(*v1.PersistentVolume) {}

func attachedTo(a *storagev1.VolumeAttachment) { a.Status.Attached = true }

const unique = v1.UniqueVolumeName("kubernetes.io/csi/disks.example.com^h")

func inUse(n *v1.Node) { n.Status.VolumesInUse = []v1.UniqueVolumeName{unique} }

func TestAVolumeFollowsItsPod(t *testing.T) {
	story(t, plain, func(s *stage) {
		s.is("before", "")
		s.pod("p", "a")
		s.is("with a pod", "a")
		s.attacher("a", func(a *storagev1.VolumeAttachment) {
			a.Status.AttachError = &storagev1.VolumeError{Message: "no disk left"}
		})
		s.told(`Warning FailedAttachVolume AttachVolume.Attach failed for volume "pv" : no disk left`)
		s.attacher("a", func(a *storagev1.VolumeAttachment) { a.Status = storagev1.VolumeAttachmentStatus{Attached: true} })
		s.told(`Normal SuccessfulAttachVolume AttachVolume.Attach succeeded for volume "pv"`)
		if got := s.node("a", inUse).Status.VolumesAttached; len(got) != 1 || got[0].Name != unique {
			t.Errorf("the node's status says %v is attached", got)
		}
		s.remove("p")
		s.is("while the node has it mounted", "a attached")
		s.pod("q", "b")
		s.is("wanted elsewhere", "a attached")
		s.told(`Warning FailedAttachVolume Multi-Attach error for volume "pv" Volume is already exclusively attached to one node and can't be attached to another`)
		if got := s.node("a", func(n *v1.Node) { n.Status.VolumesInUse = nil }).Status.VolumesAttached; len(got) > 1 {
			t.Errorf("the node's status says %v", got)
		}
		s.is("once it is unmounted", "b")
		if got := s.node("a", func(*v1.Node) {}).Status.VolumesAttached; len(got) != 0 {
			t.Errorf("the node's status says %v is attached still", got)
		}
	})
}

// The kubelet has just begun to use the volume, and the cache does not know yet.
func TestAVolumeInUseStaysThoughTheCacheLags(t *testing.T) {
	story(t, plain, func(s *stage) {
		s.pod("p", "a")
		s.is("with a pod", "a")
		s.attacher("a", attachedTo)
		s.Freeze("nodes")
		s.node("a", inUse)
		s.remove("p")
		s.is("before the cache has the node", "a attached")
		s.Thaw()
		s.is("when it has", "a attached")
		if got := s.node("a", func(*v1.Node) {}).Status.VolumesAttached; len(got) != 1 {
			t.Errorf("the node's status says %v is attached", got)
		}
		s.node("a", func(n *v1.Node) { n.Status.VolumesInUse = nil })
		s.is("once it is unmounted", "")
	})
}

func TestAVolumeOfManyNodes(t *testing.T) {
	story(t, func(pv *v1.PersistentVolume) {
		pv.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadWriteMany}
	}, func(s *stage) {
		s.pod("p", "a")
		s.pod("q", "b")
		s.is("pods on two nodes", "a, b")
	})
}

func TestWhatIsNotAttached(t *testing.T) {
	for name, c := range map[string]func(s *stage){
		"the driver need not": func(s *stage) {
			s.create(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disks.example.com"}, Spec: storagev1.CSIDriverSpec{AttachRequired: ptr.To(false)}})
			synctest.Wait()
			s.pod("p", "a")
		},
		"the kubelet does": func(s *stage) {
			s.create(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "other"}})
			s.pod("p", "other")
		},
		"the pod waits": func(s *stage) { s.pod("p", "") },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, plain, func(s *stage) {
				c(s)
				s.is(name, "")
			})
		})
	}
}

func TestAnEndedPodNeedsNoVolume(t *testing.T) {
	story(t, plain, func(s *stage) {
		s.pod("p", "a")
		s.is("running", "a")
		s.SetPod(t, s.Pods()["p"], lab.Ended(0))
		s.is("ended", "")
	})
}

func TestANodeThatIsSilent(t *testing.T) {
	silent := func(n *v1.Node) { inUse(n); n.Status.Conditions[0].Status = v1.ConditionUnknown }
	for name, c := range map[string]struct {
		state, then func(s *stage)
		after       time.Duration
		want        string
	}{
		"for five minutes":               {func(s *stage) { s.node("a", silent) }, nil, 5 * time.Minute, "a attached"},
		"for six minutes":                {func(s *stage) { s.node("a", silent) }, nil, 6*time.Minute + time.Second, ""},
		"healthy, with a volume mounted": {func(s *stage) { s.node("a", inUse) }, nil, time.Hour, "a attached"},
		"out of service": {func(s *stage) { s.node("a", silent) }, func(s *stage) {
			s.node("a", func(n *v1.Node) {
				n.Spec.Taints = []v1.Taint{{Key: v1.TaintNodeOutOfService, Effect: v1.TaintEffectNoExecute}}
			})
		}, time.Second, ""},
		"gone, for a minute": {func(s *stage) { s.node("a", silent) }, func(s *stage) {
			if err := s.Client.CoreV1().Nodes().Delete(s.Context(), "a", metav1.DeleteOptions{}); err != nil {
				s.Fatal(err)
			}
		}, time.Minute, "a attached"},
		"gone, for seven minutes": {func(s *stage) { s.node("a", silent) }, func(s *stage) {
			if err := s.Client.CoreV1().Nodes().Delete(s.Context(), "a", metav1.DeleteOptions{}); err != nil {
				s.Fatal(err)
			}
		}, 7 * time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, plain, func(s *stage) {
				s.pod("p", "a")
				synctest.Wait()
				s.attacher("a", attachedTo)
				c.state(s)
				s.remove("p")
				s.is("at once", "a attached")
				if c.then != nil {
					c.then(s)
				}
				time.Sleep(c.after)
				s.is("later", c.want)
			})
		})
	}
}

func TestADetachThatTakesTime(t *testing.T) {
	story(t, plain, func(s *stage) {
		s.pod("p", "a")
		synctest.Wait()
		s.attacher("a", func(a *storagev1.VolumeAttachment) {
			a.Status.Attached, a.Finalizers = true, []string{"external-attacher/disks-example-com"}
		})
		s.remove("p")
		s.is("the attacher detaches", "a attached")
		s.pod("again", "a")
		s.is("wanted again, but going", "a attached")
		s.attacher("a", func(a *storagev1.VolumeAttachment) { a.Finalizers = nil })
		s.is("attached anew", "a")
	})
}

// However the caches lag and writes fail, a volume of one node is never attached to two.
func TestAnExclusiveVolumeIsOnOneNode(t *testing.T) {
	story(t, plain, func(s *stage) {
		n := 0
		var mu sync.Mutex
		s.Fail = func(verb, resource, _ string, _ runtime.Object) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; resource == "volumeattachments" && n%3 == 0 {
				return apierrors.NewInternalError(fmt.Errorf("%s failed", verb))
			}
			return nil
		}
		for round := range 10 {
			s.Freeze("volumeattachments")
			s.pod(fmt.Sprint("x", round), "a")
			s.pod(fmt.Sprint("y", round), "b")
			time.Sleep(time.Second)
			s.Thaw()
			time.Sleep(time.Second)
			if got := s.attachments(); got != "a" && got != "b" {
				t.Fatalf("round %d: attached to %q", round, got)
			}
			s.remove(fmt.Sprint("x", round))
			s.remove(fmt.Sprint("y", round))
			time.Sleep(time.Minute)
			s.is("nobody wants it", "")
		}
	})
}

func TestWhoHoldsTheVolume(t *testing.T) {
	pod := func(ns, name string) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	}
	for want, holders := range map[string][]*v1.Pod{
		`Multi-Attach error for volume "v" Volume is already used by pod(s) x, y`:                                   {pod("ns", "y"), pod("ns", "x")},
		`Multi-Attach error for volume "v" Volume is already used by pod(s) x and 1 pod(s) in different namespaces`: {pod("ns", "x"), pod("other", "z")},
		`Multi-Attach error for volume "v" Volume is already used by 1 pod(s) in different namespaces`:              {pod("other", "z")},
	} {
		if got := blockedMessage("v", pod("ns", "me"), holders); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
