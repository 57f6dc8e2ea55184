package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// restartPause keeps a program that fails at once from turning in a tight loop.
const restartPause = time.Second

// RunNode is the node's init, PID 1 of its PID namespace: it makes the node's file system, then keeps
// containerd and, once kubeadm has configured it, the kubelet running, and reaps orphans. SIGTERM ends it.
func (c Config) RunNode(name string) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("node-init runs as PID 1 of a node only: make up starts it")
	}
	if err := c.mountNode(n); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(n.Name)); err != nil {
		return err
	}
	if err := nodeSysctls(); err != nil {
		return err
	}
	if err := listenReady(runtimeReady); err != nil {
		return err
	}
	s := newSupervisor()
	s.keep(program{name: "containerd", ready: runtimeReady, args: []string{"/usr/local/bin/containerd", "--config=/etc/containerd/config.toml"}})
	s.keep(program{
		name:   "kubelet",
		needs:  "/var/lib/kubelet/config.yaml",
		args:   []string{"/usr/local/bin/kubelet", "--config=/var/lib/kubelet/config.yaml", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"},
		extras: kubeadmFlags,
	})
	return s.run()
}

// nodeSysctls sets what a node's network namespace needs; nothing here reaches the machine.
func nodeSysctls() error {
	for path, value := range map[string]string{
		"net/ipv4/ip_forward":                 "1",
		"net/ipv4/conf/all/rp_filter":         "0",
		"net/ipv4/conf/default/rp_filter":     "0",
		"net/ipv4/ip_unprivileged_port_start": "0",
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0o644); err != nil {
			return fmt.Errorf("sysctl %s: %w", path, err)
		}
	}
	// The bridge hands frames between pods of a node to netfilter where the kernel can: Services need it.
	_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644)
	_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-ip6tables", []byte("1"), 0o644)
	return nil
}

// supervisor starts programs anew when they end. It alone waits for children, as PID 1 must.
type supervisor struct {
	programs []program
	running  map[int]int // PID to index in programs
	due      []time.Time // when programs[i] may start, while it does not run
}

type program struct {
	name   string
	needs  string // a file that must exist before the program starts
	ready  string // a file that exists while the program, which knows sd_notify(3), is ready
	args   []string
	extras func() []string // further arguments, read at each start
}

func newSupervisor() *supervisor { return &supervisor{running: map[int]int{}} }

func (s *supervisor) keep(p program) {
	s.programs = append(s.programs, p)
	s.due = append(s.due, time.Now())
}

func (s *supervisor) run() error {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		s.startDue()
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				return nil
			}
			s.reap()
		case <-tick.C:
		}
	}
}

func (s *supervisor) startDue() {
	now := time.Now()
	for i, p := range s.programs {
		if s.isRunning(i) || now.Before(s.due[i]) {
			continue
		}
		if p.needs != "" {
			if _, err := os.Stat(p.needs); err != nil {
				continue
			}
		}
		pid, err := start(p)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s starting %s: %v\n", now.Format(time.RFC3339), p.name, err)
			s.due[i] = now.Add(restartPause)
			continue
		}
		fmt.Fprintf(os.Stderr, "%s started %s, PID %d\n", now.Format(time.RFC3339), p.name, pid)
		s.running[pid] = i
	}
}

func (s *supervisor) isRunning(program int) bool {
	for _, i := range s.running {
		if i == program {
			return true
		}
	}
	return false
}

func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err != nil || pid <= 0 {
			return
		}
		i, ours := s.running[pid]
		if !ours {
			continue // an orphan of the node
		}
		delete(s.running, pid)
		s.due[i] = time.Now().Add(restartPause)
		fmt.Fprintf(os.Stderr, "%s %s ended: exit code %d, signal %v\n", time.Now().Format(time.RFC3339), s.programs[i].name, status.ExitStatus(), status.Signal())
	}
}

func start(p program) (int, error) {
	log, err := os.OpenFile("/var/log/"+p.name+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	args := p.args
	if p.extras != nil {
		args = append(append([]string{}, args...), p.extras()...)
	}
	env := os.Environ()
	if p.ready != "" {
		if err := os.Remove(p.ready); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		env = append(env, "NOTIFY_SOCKET="+notifySocket)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}
