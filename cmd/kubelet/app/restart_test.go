package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/observed"
)

// story runs a kubelet with one pod.
func story(t *testing.T, pod *v1.Pod, tell func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		n.Desired.Replace(desired.API, []*v1.Pod{pod})
		settle()
		tell(n)
	})
}

func TestTheBackoffIsToldWhole(t *testing.T) {
	story(t, apiPod("web", nil), func(n *world) {
		n.exit("web", 1)
		settle() // the first restart is immediate
		for _, want := range []string{"back-off 10s", "back-off 20s", "back-off 40s"} {
			n.exit("web", 1)
			n.Wake("web-uid")
			time.Sleep(3 * time.Second)
			n.Wake("web-uid")
			synctest.Wait()
			s, _ := n.Status.Get("web-uid")
			waiting := s.ContainerStatuses[0].State.Waiting
			if want += " restarting failed container=a pod=web_pilotis-test(web-uid)"; waiting == nil || waiting.Reason != "CrashLoopBackOff" || waiting.Message != want {
				t.Errorf("waiting %+v, want %s", waiting, want)
			}
			settle()
		}
	})
}

func TestAPodWhoseContainersDoNotRestartEnds(t *testing.T) {
	pod := apiPod("web", func(p *v1.Pod) { p.Spec.Containers[0].RestartPolicy = ptr.To(v1.ContainerRestartPolicyNever) })
	story(t, pod, func(n *world) {
		n.exit("web", 1)
		settle()
		if running, ended := n.containers("web"); running != 0 || ended != 1 || n.phase("web") != v1.PodFailed {
			t.Errorf("%d run, %d ended, phase %s; want one ended and Failed", running, ended, n.phase("web"))
		}
		if v := n.Volumes.(*noVolumes); len(v.torn) == 0 {
			t.Error("its volumes stay")
		}
	})
}

func TestAnInitContainerThatDoesNotRestartRunsOnce(t *testing.T) {
	pod := apiPod("web", func(p *v1.Pod) {
		p.Spec.InitContainers = []v1.Container{{Name: "i", Image: "web:1", ImagePullPolicy: v1.PullIfNotPresent, RestartPolicy: ptr.To(v1.ContainerRestartPolicyNever)}}
	})
	story(t, pod, func(n *world) {
		n.exit("web", 1)
		settle()
		if running, ended := n.containers("web"); running != 0 || ended != 1 || n.phase("web") != v1.PodFailed {
			t.Errorf("%d run, %d ended, phase %s; want one ended and Failed", running, ended, n.phase("web"))
		}
	})
}

func TestAContainerRestartsByItselfInAPodThatDoesNot(t *testing.T) {
	pod := apiPod("web", func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		p.Spec.Containers[0].RestartPolicy = ptr.To(v1.ContainerRestartPolicyOnFailure)
	})
	story(t, pod, func(n *world) {
		for range 2 {
			n.exit("web", 1)
			settle()
			if running, _ := n.containers("web"); running != 1 || n.phase("web") != v1.PodRunning {
				t.Errorf("%d run, phase %s; want it to run again", running, n.phase("web"))
			}
		}
		n.exit("web", 0)
		settle()
		if n.phase("web") != v1.PodSucceeded {
			t.Errorf("phase %s, want Succeeded", n.phase("web"))
		}
	})
}

// A postStart hook that fails ends its container: in a pod that must not restart, that is the end.
func TestAFailedPostStartHookEndsAPodThatDoesNotRestart(t *testing.T) {
	pod := apiPod("job", func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: &v1.LifecycleHandler{TCPSocket: &v1.TCPSocketAction{}}}
	})
	story(t, pod, func(n *world) {
		s, _ := n.Status.Get("job-uid")
		if state := s.ContainerStatuses[0].State; state.Terminated == nil || s.Phase != v1.PodSucceeded { // the fake's exit code is 0
			t.Errorf("state %+v, phase %s; want an end", state, s.Phase)
		}
	})
}

// exitOf ends one container of the pod.
func (n *world) exitOf(name, container string, code int32) {
	n.runtime.Lock()
	defer n.runtime.Unlock()
	for _, c := range n.runtime.Containers {
		if c.Labels[observed.LabelPodName] == name && c.Labels[observed.LabelContainerName] == container && c.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			c.State, c.ExitCode, c.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, code, time.Now().UnixNano()
		}
	}
}

func TestAllContainersStartAnewInPlace(t *testing.T) {
	pod := apiPod("web", func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		container := func(name string) v1.Container {
			return v1.Container{Name: name, Image: "web:1", ImagePullPolicy: v1.PullIfNotPresent}
		}
		trigger := container("a")
		trigger.RestartPolicy = ptr.To(v1.ContainerRestartPolicyNever)
		trigger.RestartPolicyRules = []v1.ContainerRestartRule{{Action: v1.ContainerRestartRuleActionRestartAllContainers, ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{88}}}}
		p.Spec.InitContainers, p.Spec.Containers = []v1.Container{container("i")}, []v1.Container{trigger, container("b")}
	})
	story(t, pod, func(n *world) {
		n.exitOf("web", "i", 0)
		settle()
		for round := int32(1); round <= 2; round++ {
			n.exitOf("web", "a", 88)
			settle()
			s, _ := n.Status.Get("web-uid")
			if i, b := s.InitContainerStatuses[0], s.ContainerStatuses[1]; i.State.Running == nil || i.RestartCount != round || b.State.Waiting == nil || final(s) {
				t.Errorf("round %d: the init container is %+v, b is %+v, phase %s", round, i, b, s.Phase)
			}
			n.exitOf("web", "i", 0)
			settle()
			s, _ = n.Status.Get("web-uid")
			for _, c := range s.ContainerStatuses {
				if c.State.Running == nil || c.RestartCount != round {
					t.Errorf("round %d: %+v", round, c)
				}
			}
			if len(n.runtime.Sandboxes) != 1 || s.Phase != v1.PodRunning {
				t.Errorf("round %d: %d sandboxes, phase %s", round, len(n.runtime.Sandboxes), s.Phase)
			}
		}
		n.exitOf("web", "a", 0)
		n.exitOf("web", "b", 0)
		settle()
		if n.phase("web") != v1.PodSucceeded {
			t.Errorf("phase %s, want Succeeded", n.phase("web"))
		}
	})
}

func final(s v1.PodStatus) bool { return s.Phase == v1.PodFailed || s.Phase == v1.PodSucceeded }
