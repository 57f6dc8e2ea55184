package probes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/fields"
)

// execProbe succeeds when the command exits with 0. Running out of time is a failure.
func (p *prober) execProbe(ctx context.Context, id string, c *v1.Container, cmd []string, timeout time.Duration) (answer, error) {
	if p.exec == nil {
		return answer{}, errors.New("commands cannot be run in containers")
	}
	expanded := make([]string, len(cmd))
	for i, arg := range cmd {
		expanded[i] = fields.Expand(arg, literalEnv(c))
	}
	out, exit, err := p.exec(ctx, id, expanded, timeout)
	output := strings.TrimSpace(string(out[:min(len(out), outputLimit)]))
	if timedOut(err) {
		return failed("command timed out: %q timed out after %s", strings.Join(expanded, " "), timeout)
	}
	if err != nil {
		return answer{}, err
	}
	if exit != 0 {
		if output == "" {
			output = fmt.Sprintf("command terminated with exit code %d", exit)
		}
		return failed("%s", output)
	}
	return answer{outcome: success, output: output}, nil
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

// literalEnv looks variables up among those whose values the specification holds itself.
func literalEnv(c *v1.Container) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, e := range c.Env {
			if e.Name == name && e.ValueFrom == nil {
				return e.Value, true
			}
		}
		return "", false
	}
}
