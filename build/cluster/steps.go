package cluster

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// progress prints one line a step with the time it took and the time since the start.
type progress struct {
	out   io.Writer
	start time.Time
}

// step runs f. A failure names the step and, when given, the log that tells more.
func (p *progress) step(title, log string, f func() error) error {
	began := time.Now()
	fmt.Fprintf(p.out, "  %-52s", title)
	if err := f(); err != nil {
		fmt.Fprintf(p.out, " failed after %.1fs\n", time.Since(began).Seconds())
		if log != "" {
			return fmt.Errorf("step %q: %w\nlog: %s", title, err, log)
		}
		return fmt.Errorf("step %q: %w", title, err)
	}
	fmt.Fprintf(p.out, " %5.1fs   (%.1fs)\n", time.Since(began).Seconds(), time.Since(p.start).Seconds())
	return nil
}

// each runs f for every node at once.
func each(ctx context.Context, nodes []Node, f func(context.Context, Node) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return f(ctx, n) })
	}
	return g.Wait()
}

// eventually calls check every 50 ms until it gives nil; at the end of the time it returns the last reason.
func eventually(ctx context.Context, timeout time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		if err := check(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s within %v: %w", what, timeout, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
