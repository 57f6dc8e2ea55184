package status

import (
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func TestAReplacedMirrorGetsTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		static, old := stored("a", false), stored("old", false)
		client := fake.NewClientset(old)
		mirror := old
		w := &Writer{Client: client, Target: func(*v1.Pod) (types.NamespacedName, types.UID, bool) { return itself(mirror) }}
		w.Set(t.Context(), static, v1.PodStatus{Phase: v1.PodRunning}, false)
		synctest.Wait()
		mirror = stored("new", false)
		if err := client.Tracker().Add(mirror); err != nil {
			t.Fatal(err)
		}
		w.Set(t.Context(), static, v1.PodStatus{Phase: v1.PodRunning}, false)
		synctest.Wait()
		if patches, _ := writes(client); patches != 2 {
			t.Errorf("%d writes, want one to each mirror", patches)
		}
	})
}

func TestResizeConditionsComeAndGo(t *testing.T) {
	in := input(pod(v1.RestartPolicyAlways, nil, "a"), sees(running("a")))
	in.Resize = Resize{Pending: v1.PodReasonDeferred, Message: "full"}
	s := Generate(in)
	if c := condition(s, v1.PodResizePending); c.Reason != v1.PodReasonDeferred {
		t.Errorf("condition %+v", c)
	}
	in.Pod.Status, in.Resize = s, Resize{}
	if c := condition(Generate(in), v1.PodResizePending); c.Type != "" {
		t.Errorf("the condition stays after the resize: %+v", c)
	}
}

func TestRefusedPodShowsNoContainers(t *testing.T) {
	in := input(pod(v1.RestartPolicyAlways, nil, "a"), nil)
	in.Rejected = &Rejection{Reason: "OutOfcpu"}
	if s := Generate(in); len(s.ContainerStatuses) != 0 || s.Reason != "OutOfcpu" {
		t.Errorf("status %+v: users see a container's state before the reason", s)
	}
}

func TestEvictedPodIsADisruption(t *testing.T) {
	in := input(pod(v1.RestartPolicyAlways, nil, "a"), sees(running("a")))
	in.Rejected = &Rejection{Reason: "Evicted", Disruption: v1.PodReasonTerminationByKubelet}
	if c := condition(Generate(in), v1.DisruptionTarget); c.Reason != v1.PodReasonTerminationByKubelet || c.Status != v1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
}
