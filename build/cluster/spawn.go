package cluster

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netns"
)

// spawn starts the node's init in its namespaces and returns it. It runs in a child process of the command
// (SpawnCommand), which joins the node's cgroups and network before it forks.
func (c Config) spawn(n Node) (process, error) {
	if err := os.MkdirAll(c.nodeDir(n.Name), 0o700); err != nil {
		return process{}, err
	}
	log, err := os.Create(filepath.Join(c.nodeDir(n.Name), "init.log"))
	if err != nil {
		return process{}, err
	}
	defer log.Close()
	cmd := exec.Command(c.bin("cluster"), c.nodeArguments("node-spawn", n)...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	if err != nil {
		detail, _ := os.ReadFile(log.Name())
		return process{}, fmt.Errorf("starting node %s: %w: %s", n.Name, err, strings.TrimSpace(string(detail)))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return process{}, fmt.Errorf("starting node %s: %q is no PID", n.Name, out)
	}
	return identify(pid)
}

func (c Config) nodeArguments(verb string, n Node) []string {
	return []string{verb, "--name=" + c.Name, "--root=" + c.Root, "--state-dir=" + c.StateDir, "--node=" + n.Name,
		"--nodes=" + strconv.Itoa(c.Nodes), "--control-planes=" + strconv.Itoa(c.ControlPlanes)}
}

// SpawnNode joins the node's cgroups and network namespace, starts its init in new mount, PID, UTS, IPC and
// cgroup namespaces and writes init's PID to out.
func (c Config) SpawnNode(name string, out io.Writer) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := c.enterCgroups(n.Name, os.Getpid()); err != nil {
		return err
	}
	ns, err := netns.GetFromName(c.namespace(n.Name))
	if err != nil {
		return err
	}
	if err := netns.Set(ns); err != nil {
		return err
	}
	cmd := exec.Command(c.bin("cluster"), c.nodeArguments("node-init", n)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Env = []string{"PATH=/opt/cni/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("creating the namespaces of node %s: %w", n.Name, err)
	}
	_, err = fmt.Fprintln(out, cmd.Process.Pid)
	return err
}

func (c Config) node(name string) (Node, error) {
	for _, n := range c.NodeList() {
		if n.Name == name {
			return n, nil
		}
	}
	var names []string
	for _, n := range c.NodeList() {
		names = append(names, n.Name)
	}
	return Node{}, fmt.Errorf("cluster %q has no node %q: it has %s", c.Name, name, strings.Join(names, ", "))
}
