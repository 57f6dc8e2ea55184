package plan

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/observed"
)

func TestMakeOfLostAndResizedContainers(t *testing.T) {
	in := func(name string, state runtimeapi.ContainerState) *observed.Pod {
		c := running(name)
		c.State = state
		return inSandbox(c)
	}
	restarting := pod(v1.RestartPolicyAlways, nil, named("a"))
	restarting.Spec.Containers[0].ResizePolicy = []v1.ContainerResizePolicy{{ResourceName: v1.ResourceMemory, RestartPolicy: v1.RestartContainer}}
	for _, tt := range []struct {
		name        string
		pod         *v1.Pod
		observed    *observed.Pod
		cpu, memory bool
		want        string
	}{
		{name: "created by a kubelet that was killed", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: in("a", runtimeapi.ContainerState_CONTAINER_CREATED), want: "start regular a, restart 1\n"},
		{name: "an init container likewise", pod: pod(v1.RestartPolicyAlways, named("i"), named("a")), observed: in("i", runtimeapi.ContainerState_CONTAINER_CREATED), want: "start init i, restart 1\n"},
		{name: "lost by the runtime", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: in("a", runtimeapi.ContainerState_CONTAINER_UNKNOWN), want: "kill a: Container a is in an unknown state, try killing it before restart\n"},
		{name: "resized in place", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: inSandbox(running("a")), cpu: true, want: "resize a\n"},
		{name: "resized by a restart", pod: restarting, observed: inSandbox(running("a")), memory: true, want: "kill a: Container a resize requires restart\n"},
		{name: "the other resource is resized in place", pod: restarting, observed: inSandbox(running("a")), cpu: true, want: "resize a\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Make(Input{Pod: tt.pod, Observed: tt.observed, Wait: func(*observed.Container) time.Duration { return 0 },
				Unhealthy: func(*observed.Container) (string, bool) { return "", false }, Started: func(*observed.Container) bool { return true },
				Outdated: func(*v1.Container, *observed.Container) (bool, bool) { return tt.cpu, tt.memory }}).String()
			if got != tt.want {
				t.Errorf("plan:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}
