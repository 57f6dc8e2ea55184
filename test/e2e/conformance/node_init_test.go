package conformance

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// initialised is a pod whose init containers run these commands before its container sleeps.
func (s *space) initialised(policy v1.RestartPolicy, commands ...string) *v1.Pod {
	return s.pod("p", "sleep 300", func(p *v1.Pod) {
		p.Spec.RestartPolicy = policy
		for i, command := range commands {
			p.Spec.InitContainers = append(p.Spec.InitContainers, v1.Container{Name: string(rune('0' + i)), Image: image, Command: []string{"sh", "-c", command}})
		}
	})
}

// initCondition is the status of the pod's condition Initialized.
func initCondition(p *v1.Pod) v1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == v1.PodInitialized {
			return c.Status
		}
	}
	return ""
}

// notStarted checks that the pod's container waits for its init containers.
func (s *space) notStarted(p *v1.Pod) {
	s.Helper()
	c := p.Status.ContainerStatuses[0]
	if c.State.Waiting == nil || c.State.Waiting.Reason != "PodInitializing" || c.RestartCount != 0 || initCondition(p) != v1.ConditionFalse {
		s.Errorf("the container is %+v, the pod's condition Initialized %s", c, initCondition(p))
	}
}

func TestInitContainersThatEnd(t *testing.T) {
	s := behaviour(t, "[sig-node] InitContainer should invoke init containers on a RestartAlways pod [NodeConformance]")
	pod := s.start(s.initialised(v1.RestartPolicyAlways, "true", "true"))
	if len(pod.Status.InitContainerStatuses) != 2 || initCondition(pod) != v1.ConditionTrue {
		t.Fatalf("the status is %+v", pod.Status)
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if !c.Ready || c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
			t.Errorf("init container %s is %+v", c.Name, c.State)
		}
	}
}

func TestInitContainerThatFails(t *testing.T) {
	s := behaviour(t, "[sig-node] InitContainer should not start app containers and fail the pod if init containers fail on a RestartNever pod [NodeConformance]")
	pod := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.initialised(v1.RestartPolicyNever, "true", "false"), metav1.CreateOptions{}))
	pod = s.await(pod, "failed", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
	if second := pod.Status.InitContainerStatuses[1].State.Terminated; second == nil || second.ExitCode == 0 {
		t.Errorf("the init containers are %+v", pod.Status.InitContainerStatuses)
	}
	s.notStarted(pod)
}

func TestInitContainerThatFailsAgain(t *testing.T) {
	s := behaviour(t, "[sig-node] InitContainer should not start app containers if init containers fail on a RestartAlways pod [NodeConformance]")
	pod := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.initialised(v1.RestartPolicyAlways, "false", "true"), metav1.CreateOptions{}))
	pod = s.await(pod, "restarted twice", func(p *v1.Pod) bool {
		return len(p.Status.InitContainerStatuses) == 2 && p.Status.InitContainerStatuses[0].RestartCount >= 2
	})
	if second := pod.Status.InitContainerStatuses[1]; second.State.Waiting == nil || pod.Status.Phase != v1.PodPending {
		t.Errorf("the pod is %s, its second init container %+v", pod.Status.Phase, second.State)
	}
	s.notStarted(pod)
}
