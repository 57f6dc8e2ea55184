package resourceclaim

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

type stage struct {
	*testing.T
	*lab.Lab
}

func story(t *testing.T, act func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t, lab.New(t)}
		c, err := New(s.Informers, s.Client, s.Events, Options{Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { c.Run(ctx) })
		defer func() { cancel(); group.Wait(); s.Informers.Shutdown() }()
		synctest.Wait()
		act(s)
	})
}

func (s *stage) template(name string) {
	s.Helper()
	_, err := s.Client.ResourceV1().ResourceClaimTemplates("ns").Create(s.Context(), &resourcev1.ResourceClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec: resourcev1.ResourceClaimTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "1"}},
			Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "gpu"}}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) pod(node string, entries ...v1.PodResourceClaim) *v1.Pod {
	s.Helper()
	pod, err := s.Client.CoreV1().Pods("ns").Create(s.Context(), &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: v1.PodSpec{NodeName: node, ResourceClaims: entries}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
	return pod
}

func ofTemplate(name, template string) v1.PodResourceClaim {
	return v1.PodResourceClaim{Name: name, ResourceClaimTemplateName: &template}
}

func (s *stage) claims() []resourcev1.ResourceClaim {
	s.Helper()
	synctest.Wait()
	list, err := s.Client.ResourceV1().ResourceClaims("ns").List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return list.Items
}

// allocate does what the scheduler does for a pod.
func (s *stage) allocate(claim *resourcev1.ResourceClaim, pods ...*v1.Pod) {
	s.Helper()
	claim.Finalizers = []string{resourcev1.Finalizer}
	claim.Status.Allocation = &resourcev1.AllocationResult{}
	for _, pod := range pods {
		claim.Status.ReservedFor = append(claim.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: pod.Name, UID: pod.UID})
	}
	if _, err := s.Client.ResourceV1().ResourceClaims("ns").Update(s.Context(), claim, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) byHand(name string) *resourcev1.ResourceClaim {
	s.Helper()
	claim, err := s.Client.ResourceV1().ResourceClaims("ns").Create(s.Context(), &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return claim
}

func (s *stage) deletePod() {
	s.Helper()
	if err := s.Client.CoreV1().Pods("ns").Delete(s.Context(), "p", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func TestAClaimIsMadeFromATemplate(t *testing.T) {
	story(t, func(s *stage) {
		pod := s.pod("", ofTemplate("gpu", "t"))
		if got := strings.Join(s.Recorded(), "\n"); len(s.claims()) != 0 || !strings.Contains(got, `Warning FailedResourceClaimCreation PodResourceClaim gpu: resource claim template "t": not found`) {
			t.Errorf("without the template: claims %v, events %s", s.claims(), got)
		}
		s.template("t") // nothing more is waited for
		claims := s.claims()
		if len(claims) != 1 {
			t.Fatalf("%d claims, want one", len(claims))
		}
		c := claims[0]
		if !strings.HasPrefix(c.Name, "p-gpu-") || !metav1.IsControlledBy(&c, pod) || c.Labels["l"] != "1" || c.Annotations[annotationName] != "gpu" || len(c.Spec.Devices.Requests) != 1 {
			t.Errorf("claim %+v", c)
		}
		if got := s.Pods()["p"].Status.ResourceClaimStatuses; len(got) != 1 || got[0].Name != "gpu" || *got[0].ResourceClaimName != c.Name {
			t.Errorf("the pod's status says %v", got)
		}
		if err := s.Client.ResourceV1().ResourceClaims("ns").Delete(s.Context(), c.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if claims = s.claims(); len(claims) != 1 || claims[0].Name == c.Name || *s.Pods()["p"].Status.ResourceClaimStatuses[0].ResourceClaimName != claims[0].Name {
			t.Errorf("after its deletion: %d claims, status %v", len(claims), s.Pods()["p"].Status)
		}
	})
}

func TestAClaimIsMadeOnce(t *testing.T) {
	story(t, func(s *stage) {
		s.template("t")
		fails := 3
		s.Fail = func(_, resource, subresource string, _ runtime.Object) error {
			if resource == "pods" && subresource == "status" && fails > 0 {
				fails--
				return apierrors.NewInternalError(errors.New("no"))
			}
			return nil
		}
		s.pod("", ofTemplate("a", "t"), ofTemplate("b", "t"))
		time.Sleep(time.Minute)
		if n := len(s.claims()); n != 2 || len(s.Pods()["p"].Status.ResourceClaimStatuses) != 2 {
			t.Errorf("%d claims for two entries, status %v", n, s.Pods()["p"].Status)
		}
	})
}

// A create without an answer is not done again by a cache that has not seen it.
func TestAClaimIsMadeOnceThoughTheAnswerIsLost(t *testing.T) {
	story(t, func(s *stage) {
		s.template("t")
		s.MadeOnce(t, "resourceclaims", func() { s.pod("", ofTemplate("a", "t")) })
		if names := s.Pods()["p"].Status.ResourceClaimStatuses; len(names) != 1 {
			t.Errorf("the pod's status names the claims %v", names)
		}
	})
}

func TestAClaimIsTakenBack(t *testing.T) {
	story(t, func(s *stage) {
		shared := s.byHand("shared")
		pod := s.pod("node", v1.PodResourceClaim{Name: "gpu", ResourceClaimName: ptr.To("shared")})
		s.allocate(shared, pod)
		if c := s.claims()[0]; len(c.Status.ReservedFor) != 1 || c.Status.Allocation == nil {
			t.Fatalf("in use: %+v", c.Status)
		}
		s.deletePod()
		if c := s.claims()[0]; len(c.Status.ReservedFor) != 0 || c.Status.Allocation != nil || len(c.Finalizers) != 0 {
			t.Errorf("after its pod: %+v, finalizers %v", c.Status, c.Finalizers)
		}
	})
}

func TestTheOwnClaimOfADonePodGoes(t *testing.T) {
	story(t, func(s *stage) {
		s.template("t")
		pod := s.pod("", ofTemplate("gpu", "t"))
		claim := s.claims()[0]
		s.allocate(&claim, pod)
		s.SetPod(t, pod, lab.Running("node"))
		if len(s.claims()) != 1 {
			t.Fatal("the claim went while its pod ran")
		}
		s.SetPod(t, pod, lab.Ended(0))
		if got := s.claims(); len(got) != 0 {
			t.Errorf("claims %+v of a pod that is done", got)
		}
	})
}

func TestAReservationIsNotTakenOnTheCachesWordAlone(t *testing.T) {
	story(t, func(s *stage) {
		shared := s.byHand("shared")
		s.Freeze("pods")
		pod := s.pod("node")
		s.allocate(shared, pod)
		if c := s.claims()[0]; len(c.Status.ReservedFor) != 1 || c.Status.Allocation == nil {
			t.Errorf("of a pod that the cache lacks: %+v", c.Status)
		}
		s.Thaw()
	})
}

func TestAPodWithANodeGetsItsReservation(t *testing.T) {
	story(t, func(s *stage) {
		shared := s.byHand("shared")
		s.allocate(shared)
		pod := s.pod("node", v1.PodResourceClaim{Name: "gpu", ResourceClaimName: ptr.To("shared")})
		if r := s.claims()[0].Status.ReservedFor; len(r) != 1 || r[0].UID != pod.UID {
			t.Errorf("reserved for %v", r)
		}
	})
}

func TestAPodWithANodeWaitsForTheAllocation(t *testing.T) {
	story(t, func(s *stage) {
		pod := s.pod("node", v1.PodResourceClaim{Name: "gpu", ResourceClaimName: ptr.To("shared")})
		s.allocate(s.byHand("shared"))
		if r := s.claims()[0].Status.ReservedFor; len(r) != 1 || r[0].UID != pod.UID {
			t.Errorf("reserved for %v", r)
		}
	})
}

func TestAnAllocatedClaimCanBeDeleted(t *testing.T) {
	story(t, func(s *stage) {
		s.allocate(s.byHand("free"))
		if c := s.claims()[0]; c.Status.Allocation == nil {
			t.Fatal("an allocation was taken back from a claim that waits for its pod")
		}
		if err := s.Client.ResourceV1().ResourceClaims("ns").Delete(s.Context(), "free", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := s.claims(); len(got) != 0 {
			t.Errorf("claims %+v", got)
		}
	})
}

func TestTheSchedulersFinalizerStays(t *testing.T) {
	story(t, func(s *stage) {
		claim := s.byHand("c")
		claim.Finalizers = []string{resourcev1.Finalizer} // the first half of an allocation
		claim, err := s.Client.ResourceV1().ResourceClaims("ns").Update(s.Context(), claim, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := s.claims()[0]; len(c.Finalizers) != 1 {
			t.Errorf("finalizers %v", c.Finalizers)
		}
		if err := s.Client.ResourceV1().ResourceClaims("ns").Delete(s.Context(), claim.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := s.claims(); len(got) != 0 {
			t.Errorf("claims %+v after the deletion", got)
		}
	})
}

func TestNamesFit(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ pod, entry, want string }{
		{"p", "gpu", "p-gpu-"}, {long, "gpu", long[:53] + "-gpu-"}, {"p", long, "p-" + long[:55] + "-"}, {long, long, long[:28] + "-" + long[:28] + "-"},
	} {
		if got := generateName(c.pod, c.entry); got != c.want || len(got) > 58 {
			t.Errorf("%q (%d), want %q", got, len(got), c.want)
		}
	}
}
