package plan

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/observed"
)

func TestMakeOfARoundThatBeginsAnew(t *testing.T) {
	at := func(seconds int64, c *observed.Container) *observed.Container {
		c.Created = time.Unix(seconds, 0)
		c.Finished = time.Unix(seconds+5, 0)
		return c
	}
	trigger := own(v1.ContainerRestartPolicyNever, "a")
	trigger.RestartPolicyRules = []v1.ContainerRestartRule{{Action: v1.ContainerRestartRuleActionRestartAllContainers, ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{88}}}}
	p := pod(v1.RestartPolicyNever, append(named("i"), sidecar("s")), append(named("b"), trigger))
	i, s, b, a := at(1, exited("i", 0)), at(2, exited("s", 137)), at(3, exited("b", 137)), at(3, exited("a", 88))
	for _, tt := range []struct {
		name     string
		observed *observed.Pod
		want     string
	}{
		{"no rule matches", inSandbox(at(3, exited("a", 1)), b, s, i), "kill pod\n"},
		{"what runs ends", inSandbox(a, at(3, running("b")), at(2, running("s")), i), "end s at once: all start anew\nend b at once: all start anew\n"},
		{"the first init container is first", inSandbox(a, b, s, i), "start init i, restart 1\n"},
		{"the next wait for it", inSandbox(at(11, running("i")), a, b, s, i), "nothing\n"},
		{"the sidecar follows", inSandbox(at(11, exited("i", 0)), a, b, s, i), "start init s, restart 1\n"},
		{"and all regular ones", inSandbox(at(12, running("s")), at(11, exited("i", 0)), a, b, s, i), "start regular b, restart 1\nstart regular a, restart 1\n"},
		{"an init container that fails now fails the pod", inSandbox(at(11, exited("i", 1)), a, b, s, i), "kill pod\n"},
		{"the round ends as others do", inSandbox(at(13, exited("a", 0)), at(13, exited("b", 0)), at(12, running("s")), at(11, exited("i", 0)), a, b, s, i), "kill pod\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Make(Input{Pod: p, Observed: tt.observed, Wait: func(*observed.Container) time.Duration { return 0 },
				Unhealthy: func(*observed.Container) (string, bool) { return "", false }, Started: func(*observed.Container) bool { return true }}).String()
			if got != tt.want {
				t.Errorf("plan:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}
