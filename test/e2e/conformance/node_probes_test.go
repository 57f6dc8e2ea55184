package conformance

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probed creates a pod with a liveness probe that asks every second and gives up at the first failure.
func (s *space) probed(command string, probe v1.ProbeHandler) *v1.Pod {
	s.Helper()
	return must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("p", command, func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyAlways
		p.Spec.Containers[0].LivenessProbe = &v1.Probe{ProbeHandler: probe, InitialDelaySeconds: 2, PeriodSeconds: 1, FailureThreshold: 1, TimeoutSeconds: 5}
	}), metav1.CreateOptions{}))
}

// restarts waits until the pod's container was restarted so often.
func (s *space) restarts(pod *v1.Pod, count int32) {
	s.Helper()
	s.await(pod, "restarted", func(p *v1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount >= count
	})
}

func TestRestartByExec(t *testing.T) {
	s := behaviour(t, `[sig-node] Probing container should be restarted with a exec "cat /tmp/health" liveness probe [NodeConformance]`)
	s.restarts(s.probed("echo ok > /tmp/health; sleep 5; rm /tmp/health; sleep 300", v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"cat", "/tmp/health"}}}), 1)
}

func TestRestartByGRPC(t *testing.T) {
	s := behaviour(t, "[sig-node] Probing container should be restarted with a GRPC liveness probe [NodeConformance]")
	s.restarts(s.probed("witness serve --grpc=5000", v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: 2333}}), 1) // another port
}

func TestNoRestartByGRPC(t *testing.T) {
	s := behaviour(t, "[sig-node] Probing container should *not* be restarted with a GRPC liveness probe [NodeConformance]")
	pod := s.probed("witness serve --grpc=5000", v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: 5000}})
	started := s.await(pod, "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	s.await(pod, "asked for ten seconds without a restart", func(p *v1.Pod) bool {
		c := p.Status.ContainerStatuses[0]
		if c.RestartCount > 0 {
			t.Fatalf("the container was restarted: %+v", c)
		}
		return time.Since(started.Status.StartTime.Time) > 15*time.Second
	})
}

func TestRestartsAreCounted(t *testing.T) {
	s := behaviour(t, "[sig-node] Probing container should have monotonically increasing restart count [NodeConformance]")
	pod := s.probed("witness serve --http=8080 & sleep 4; kill $!; sleep 300", v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}})
	last := int32(0)
	for next := int32(1); next <= 5; next++ {
		s.await(pod, "restarted once more", func(p *v1.Pod) bool {
			if len(p.Status.ContainerStatuses) == 0 {
				return false
			}
			count := p.Status.ContainerStatuses[0].RestartCount
			if count < last {
				t.Fatalf("the count of restarts fell from %d to %d", last, count)
			}
			last = count
			return count >= next
		})
	}
}

func TestReadyAfterTheDelay(t *testing.T) {
	s := behaviour(t, "[sig-node] Probing container with readiness probe should not be ready before initial delay and never restart [NodeConformance]")
	const delay = 6
	pod := s.start(s.pod("p", "sleep 300", func(p *v1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &v1.Probe{InitialDelaySeconds: delay, PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	}))
	started := pod.Status.ContainerStatuses[0].State.Running.StartedAt
	for _, c := range pod.Status.Conditions {
		// Times of the API are whole seconds.
		if took := c.LastTransitionTime.Sub(started.Time); c.Type == v1.PodReady && took < (delay-1)*time.Second {
			t.Errorf("the pod was ready after %v", took)
		}
	}
	if n := pod.Status.ContainerStatuses[0].RestartCount; n != 0 {
		t.Errorf("%d restarts", n)
	}
}
