package daemons

import (
	"context"
	"testing"
	"time"
)

// Run starts a program that runs until the test ends; it must end by itself on SIGTERM.
func Run(t *testing.T, dir, name string, args ...string) *Daemon {
	t.Helper()
	d, err := Start(dir, name, args...)
	return d.until(t, err)
}

// RunOn is Run by StartOn.
func RunOn(t *testing.T, hostname, dir, name string, args ...string) *Daemon {
	t.Helper()
	d, err := StartOn(hostname, dir, name, args...)
	return d.until(t, err)
}

// until ends the program with the test, or the test if the program did not start.
func (d *Daemon) until(t *testing.T, err error) *Daemon {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", d.Name, d.LastLines(25))
		}
	})
	return d
}

// Eventually repeats check, which says what it saw, until it holds.
func Eventually(t *testing.T, what string, check func() (saw string, holds bool)) {
	t.Helper()
	Within(t, Patience, what, check)
}

// Within is Eventually for what takes longer by design.
func Within(t *testing.T, patience time.Duration, what string, check func() (saw string, holds bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		saw, holds := check()
		if holds {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %v for %s; last seen: %s", patience, what, saw)
		case <-time.After(50 * time.Millisecond): // the poll's interval
		}
	}
}

// Port is a free port of loopback.
func Port(t *testing.T) int {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
