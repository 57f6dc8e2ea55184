package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netns"
)

// command runs a program inside the node, in all of its namespaces and in its cgroups.
func (c Config) command(ctx context.Context, n Node, args ...string) (*exec.Cmd, error) {
	s, err := c.load()
	if err != nil {
		return nil, err
	}
	init := s.Processes[n.Name]
	if !init.alive() {
		return nil, fmt.Errorf("node %s does not run: make up starts it", n.Name)
	}
	full := append([]string{"--target", strconv.Itoa(init.PID), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", full...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}
	return cmd, nil
}

// run is command with its output.
func (c Config) run(ctx context.Context, n Node, args ...string) (string, error) {
	cmd, err := c.command(ctx, n, args...)
	if err != nil {
		return "", err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s on node %s: %w: %s", args[0], n.Name, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// Enter replaces this process by a shell command in a node's network, with the machine's own file system: pod,
// node and Service addresses are reachable. Without a command it is an interactive shell.
func (c Config) Enter(node, command string) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if node == "" {
		node = s.Config.NodeList()[0].Name
	}
	n, err := s.Config.node(node)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	ns, err := netns.GetFromName(c.namespace(n.Name))
	if err != nil {
		return fmt.Errorf("network of node %s: %w", n.Name, err)
	}
	if err := netns.Set(ns); err != nil {
		return err
	}
	args := []string{"sh", "-c", command}
	if command == "" {
		args = []string{"bash"}
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, append(os.Environ(), "KUBECONFIG="+c.Kubeconfig()))
}

// NodeShell replaces this process by a command inside all of the node's namespaces.
func (c Config) NodeShell(ctx context.Context, node string, args []string) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	n, err := s.Config.node(node)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"bash"}
	}
	cmd, err := c.command(ctx, n, args...)
	if err != nil {
		return err
	}
	return syscall.Exec(cmd.Path, cmd.Args, cmd.Env)
}
