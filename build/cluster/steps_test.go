package cluster

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

func TestAFailedStepIsOneLineWithStepCauseAndLog(t *testing.T) {
	p := &progress{out: io.Discard, start: time.Now()}
	nodes := Config{Nodes: 2, ControlPlanes: 1}.NodeList()
	refused := errors.New("refused")
	for _, c := range []struct {
		name, log, want string
		step            func() error
	}{
		{"a node", "/n/NODE/kubeadm.log", `step "join": node worker-1: refused (log: /n/worker-1/kubeadm.log)`, func() error {
			return each(t.Context(), nodes, func(_ context.Context, n Node) error {
				if n.ControlPlane {
					return nil
				}
				return refused
			})
		}},
		{"no node", "/n/NODE/kubeadm.log", `step "join": refused`, func() error { return refused }},
		{"a log of its own", "/forward.log", `step "join": refused (log: /forward.log)`, func() error { return refused }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := p.step("join", c.log, c.step); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}
