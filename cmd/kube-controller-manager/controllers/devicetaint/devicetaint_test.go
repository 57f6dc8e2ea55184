package devicetaint

import (
	"context"
	"slices"
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
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// stage is a controller over a lab with a pod "p" that uses the device "gpu-1" of a pool.
type stage struct {
	*testing.T
	*lab.Lab
}

func story(t *testing.T, tolerations []resourcev1.DeviceToleration, act func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t, lab.New(t)}
		pod, err := s.Client.CoreV1().Pods("ns").Create(t.Context(), &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: v1.PodSpec{
			ResourceClaims: []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: ptr.To("c")}}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Client.ResourceV1().ResourceClaims("ns").Create(t.Context(), &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}, Status: resourcev1.ResourceClaimStatus{
			Allocation: &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
				{Driver: "gpus.example.com", Pool: "pool", Device: "gpu-1", Tolerations: tolerations}}}},
			ReservedFor: []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: "p", UID: pod.UID}},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(s.Informers, s.Client, s.Events, Options{Workers: 2})
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

// publish puts a slice there with taints on gpu-1.
func (s *stage) publish(name string, generation int64, taints ...resourcev1.DeviceTaint) {
	s.Helper()
	_, err := s.Client.ResourceV1().ResourceSlices().Create(s.Context(), &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpus.example.com", Pool: resourcev1.ResourcePool{Name: "pool", Generation: generation, ResourceSliceCount: 1},
		Devices: []resourcev1.Device{{Name: "gpu-0"}, {Name: "gpu-1", Taints: taints}},
	}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) rule(effect resourcev1.DeviceTaintEffect, selector *resourcev1.DeviceTaintSelector) {
	s.Helper()
	_, err := s.Client.ResourceV1().DeviceTaintRules().Create(s.Context(), &resourcev1.DeviceTaintRule{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: resourcev1.DeviceTaintRuleSpec{
		DeviceSelector: selector, Taint: broken(effect)}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

func broken(effect resourcev1.DeviceTaintEffect) resourcev1.DeviceTaint {
	now := metav1.Now()
	return resourcev1.DeviceTaint{Key: "broken", Value: "yes", Effect: effect, TimeAdded: &now}
}

func (s *stage) stays(what string, want bool) {
	s.Helper()
	synctest.Wait()
	if _, there := s.Pods()["p"]; there != want {
		s.Errorf("%s: the pod stays: %v, want %v", what, there, want)
	}
}

func (s *stage) ruleSays(want string) {
	s.Helper()
	r, err := s.Client.ResourceV1().DeviceTaintRules().Get(s.Context(), "r", metav1.GetOptions{})
	if err != nil || len(r.Status.Conditions) != 1 {
		s.Fatalf("rule %+v, error %v", r, err)
	}
	c := r.Status.Conditions[0]
	if got := string(c.Status) + " " + c.Reason + " " + c.Message; c.Type != "EvictionInProgress" || got != want {
		s.Errorf("condition %q, want %q", got, want)
	}
}

func TestATaintOfTheDriverEvicts(t *testing.T) {
	story(t, nil, func(s *stage) {
		s.publish("old", 1, broken(resourcev1.DeviceTaintEffectNone))
		s.publish("newer", 2, broken(resourcev1.DeviceTaintEffectNoSchedule))
		s.stays("with other effects", true)
		s.publish("newest", 3, broken(resourcev1.DeviceTaintEffectNoExecute))
		s.stays("with NoExecute", false)
		if got := strings.Join(s.Recorded(), "\n"); !strings.Contains(got, "Normal DeviceTaintManagerEviction Marking for deletion") {
			t.Errorf("events %s", got)
		}
	})
}

func TestATaintOfAnOldGenerationIsOver(t *testing.T) {
	story(t, nil, func(s *stage) {
		s.publish("newer", 2)
		s.publish("old", 1, broken(resourcev1.DeviceTaintEffectNoExecute))
		s.stays("healthy in the newest generation", true)
	})
}

func TestTolerations(t *testing.T) {
	for name, c := range map[string]struct {
		toleration resourcev1.DeviceToleration
		after      time.Duration
		stays      bool
	}{
		"for good":             {resourcev1.DeviceToleration{Key: "broken", Operator: resourcev1.DeviceTolerationOpExists}, time.Hour, true},
		"of another value":     {resourcev1.DeviceToleration{Key: "broken", Operator: resourcev1.DeviceTolerationOpEqual, Value: "no"}, 0, false},
		"for a minute, before": {resourcev1.DeviceToleration{Operator: resourcev1.DeviceTolerationOpExists, TolerationSeconds: ptr.To[int64](60)}, 59 * time.Second, true},
		"for a minute, after":  {resourcev1.DeviceToleration{Operator: resourcev1.DeviceTolerationOpExists, TolerationSeconds: ptr.To[int64](60)}, 61 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, []resourcev1.DeviceToleration{c.toleration}, func(s *stage) {
				s.publish("slice", 1, broken(resourcev1.DeviceTaintEffectNoExecute))
				time.Sleep(c.after)
				s.stays(name, c.stays)
			})
		})
	}
}

// A taint that goes in time leaves the pod where it is, and one event says so.
func TestATaintThatGoesCancels(t *testing.T) {
	minute := resourcev1.DeviceToleration{Operator: resourcev1.DeviceTolerationOpExists, TolerationSeconds: ptr.To[int64](60)}
	story(t, []resourcev1.DeviceToleration{minute}, func(s *stage) {
		s.publish("tainted", 1, broken(resourcev1.DeviceTaintEffectNoExecute))
		time.Sleep(5 * time.Second)
		s.publish("mended", 2)
		s.publish("mended again", 3)
		time.Sleep(5 * time.Minute)
		s.stays("without the taint", true)
		if got := strings.Join(s.Recorded(), "\n"); got != "Normal DeviceTaintManagerEviction Cancelling deletion" {
			t.Errorf("events %q", got)
		}
	})
}

func TestARuleEvictsAndTells(t *testing.T) {
	story(t, nil, func(s *stage) {
		s.publish("slice", 1)
		s.rule(resourcev1.DeviceTaintEffectNone, &resourcev1.DeviceTaintSelector{Driver: ptr.To("gpus.example.com")})
		s.stays("a rule without effect", true)
		s.ruleSays("False NoEffect 2 published devices selected. 1 allocated device selected. 1 pod would be evicted in 1 namespace if the effect was NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger an update.")
		s.SetPod(t, s.Pods()["p"], lab.Running("node"))
		r, err := s.Client.ResourceV1().DeviceTaintRules().Get(s.Context(), "r", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r.Spec.Taint = broken(resourcev1.DeviceTaintEffectNoExecute)
		if _, err := s.Client.ResourceV1().DeviceTaintRules().Update(s.Context(), r, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		p := s.Pods()["p"]
		if p == nil || p.DeletionTimestamp == nil || !slices.ContainsFunc(p.Status.Conditions, func(c v1.PodCondition) bool {
			return c.Type == v1.DisruptionTarget && c.Reason == "DeletionByDeviceTaintManager"
		}) {
			t.Fatalf("pod %+v, want it terminating with an announced disruption", p)
		}
		s.ruleSays("True PodsPendingEviction 1 pod still needs to be evicted from 1 namespace. 1 pod evicted since starting the controller.")
		s.Gone(t, p)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.ruleSays("False Completed 1 pod evicted since starting the controller.")
	})
}

func TestARuleIsAboutItsDevices(t *testing.T) {
	for name, c := range map[string]struct {
		selector *resourcev1.DeviceTaintSelector
		stays    bool
	}{
		"no selector":    {nil, true},
		"all":            {&resourcev1.DeviceTaintSelector{}, false},
		"another device": {&resourcev1.DeviceTaintSelector{Device: ptr.To("gpu-0")}, true},
		"the device":     {&resourcev1.DeviceTaintSelector{Driver: ptr.To("gpus.example.com"), Pool: ptr.To("pool"), Device: ptr.To("gpu-1")}, false},
		"another driver": {&resourcev1.DeviceTaintSelector{Driver: ptr.To("nics.example.com")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(s *stage) {
				s.rule(resourcev1.DeviceTaintEffectNoExecute, c.selector)
				s.stays(name, c.stays)
			})
		})
	}
}

func TestAFailedDeletionIsRepeated(t *testing.T) {
	story(t, nil, func(s *stage) {
		fails := 2
		s.Client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			if fails--; fails >= 0 {
				return true, nil, apierrors.NewInternalError(context.DeadlineExceeded)
			}
			return false, nil, nil
		})
		s.publish("slice", 1, broken(resourcev1.DeviceTaintEffectNoExecute))
		time.Sleep(time.Second)
		s.stays("after failures", false)
	})
}
