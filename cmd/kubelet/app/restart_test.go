package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/desired"
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
