package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Down removes everything of the cluster: processes, namespaces, mounts, cgroups, links, files. What is gone
// already is no fault, so it also clears up after an Up that failed.
func (c Config) Down(ctx context.Context, out io.Writer) error {
	s, err := c.load()
	if errors.Is(err, ErrNoCluster) {
		fmt.Fprintf(out, "Cluster %q does not exist.\n", c.Name)
		return nil
	}
	if err != nil {
		return err
	}
	c = s.Config.at(c)
	p := &progress{out: out, start: time.Now()}
	if err := p.step("processes", "", func() error { s.Config = c; return s.endProcesses(ctx) }); err != nil {
		return err
	}
	if err := p.step("networks", "", func() error {
		errs := []error{deleteNamespace(c.namespace(switchNamespace))}
		for _, n := range c.NodeList() {
			errs = append(errs, deleteNamespace(c.namespace(n.Name)))
		}
		return errors.Join(errs...)
	}); err != nil {
		return err
	}
	if err := p.step("cgroups", "", c.removeCgroups); err != nil {
		return err
	}
	if err := p.step("files", "", func() error {
		if !c.othersStand() {
			if err := c.sysctls().restore(); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(c.dir()); err != nil {
			return err
		}
		_ = os.Remove(c.StateDir) // stays while other clusters use it
		_ = os.Remove("/run/netns")
		return nil
	}); err != nil {
		return err
	}
	fmt.Fprintf(out, "Cluster %q is gone.\n", c.Name)
	return nil
}

// at is the remembered configuration with the folders of the command that runs now.
func (c Config) at(now Config) Config {
	c.Root, c.StateDir = now.Root, now.StateDir
	return c
}

func (c Config) othersStand() bool {
	others, _ := filepath.Glob(filepath.Join(c.StateDir, "*", "state.json"))
	return len(others) > 1
}

// endProcesses ends the nodes' inits, with which the kernel ends every process of the node, and the forwarder.
func (s *state) endProcesses(ctx context.Context) error {
	for _, p := range s.Processes {
		if err := p.kill(); err != nil {
			return err
		}
	}
	// A tool that was killed may have started what it did not note; everything in the cluster's cgroups is the cluster's.
	if err := s.Config.endStrays(""); err != nil {
		return err
	}
	return eventually(ctx, 30*time.Second, "processes end", func(context.Context) error {
		for name, p := range s.Processes {
			if p.alive() {
				return fmt.Errorf("process %d of %s still runs", p.PID, name)
			}
		}
		return nil
	})
}
