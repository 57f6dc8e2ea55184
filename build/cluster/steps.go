package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// progress prints one line a step with the time it took and the time since the start.
type progress struct {
	out   io.Writer
	start time.Time
}

// step runs f. A failure is one line that names the step, the cause and the log that tells more, in which NODE stands
// for the name of the node that failed.
func (p *progress) step(title, log string, f func() error) error {
	began := time.Now()
	fmt.Fprintf(p.out, "  %-52s", title)
	if err := f(); err != nil {
		fmt.Fprintf(p.out, " failed after %.1fs\n", time.Since(began).Seconds())
		if log == "" {
			return fmt.Errorf("step %q: %w", title, err)
		}
		var at *nodeError
		if errors.As(err, &at) {
			log = strings.ReplaceAll(log, "NODE", at.node)
		} else if strings.Contains(log, "NODE") { // no node failed, so none has a log of it
			return fmt.Errorf("step %q: %w", title, err)
		}
		return fmt.Errorf("step %q: %w (log: %s)", title, err, log)
	}
	fmt.Fprintf(p.out, " %5.1fs   (%.1fs)\n", time.Since(began).Seconds(), time.Since(p.start).Seconds())
	return nil
}

// nodeError is a failure of one node.
type nodeError struct {
	node string
	err  error
}

func (e *nodeError) Error() string { return "node " + e.node + ": " + e.err.Error() }
func (e *nodeError) Unwrap() error { return e.err }

func atNode(n Node, err error) error {
	if err == nil {
		return nil
	}
	return &nodeError{n.Name, err}
}

// each runs f for every node at once.
func each(ctx context.Context, nodes []Node, f func(context.Context, Node) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return atNode(n, f(ctx, n)) })
	}
	return g.Wait()
}

// fatalError is a failure that time does not mend: eventually stops at it.
type fatalError struct{ error }

func fatal(err error) error { return &fatalError{err} }

// eventually calls check every 50 ms until it gives nil; at the end of the time it returns the last reason.
func eventually(ctx context.Context, timeout time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		err := check(ctx)
		var over *fatalError
		if err == nil || errors.As(err, &over) {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s within %v: %w", what, timeout, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
