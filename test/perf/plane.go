package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// plane is a control plane on loopback, in a folder of its own.
type plane struct {
	root, dir       string
	etcd, peer, api int // ports
	running         []*process
	admin           *rest.Config
}

// process is a daemon that runs.
type process struct {
	cmd   *exec.Cmd
	port  int // of its HTTPS endpoint
	log   *os.File
	ended chan struct{}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// newPlane makes the certificates and starts etcd.
func newPlane(ctx context.Context, root string) (*plane, error) {
	dir, err := os.MkdirTemp("", "perf-")
	if err != nil {
		return nil, err
	}
	p := &plane{root: root, dir: dir}
	for _, port := range []*int{&p.etcd, &p.peer, &p.api} {
		if *port, err = freePort(); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	config := filepath.Join(dir, "kubeadm.yaml")
	text := fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 127.0.0.1, bindPort: %d}
nodeRegistration: {name: alone}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
certificatesDir: %s
`, p.api, filepath.Join(dir, "pki"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	for _, phase := range [][]string{{"certs", "all"}, {"kubeconfig", "all", "--kubeconfig-dir=" + dir}} {
		args := append([]string{"init", "phase"}, phase...)
		if out, err := exec.CommandContext(ctx, p.program("kubeadm"), append(args, "--config="+config)...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("kubeadm %v: %w: %s", args, err, out), p.stop())
		}
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", p.etcd), fmt.Sprintf("http://127.0.0.1:%d", p.peer)
	if _, err := p.start("etcd", "--name=alone", "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=alone="+peer, "--quota-backend-bytes=8589934592"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	if err := await(ctx, time.Minute, func() bool {
		resp, err := http.Get(client + "/health")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd: %w", err), p.stop())
	}
	return p, nil
}

func (p *plane) program(name string) string { return filepath.Join(p.root, "bin", name) }
func (p *plane) pki(name string) string     { return filepath.Join(p.dir, "pki", name) }

// start runs a daemon; what it prints goes to a file in the plane's folder.
func (p *plane) start(name string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.program(name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	proc := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		defer close(proc.ended)
		_ = cmd.Wait() // how it ended after SIGTERM is no matter
	}()
	p.running = append(p.running, proc)
	return proc, nil
}

// startAPIServer starts kube-apiserver and waits until it is ready, which took so long.
func (p *plane) startAPIServer(ctx context.Context) (*process, time.Duration, error) {
	began := time.Now()
	proc, err := p.start("kube-apiserver", fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", p.etcd), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", p.api), "--tls-cert-file="+p.pki("apiserver.crt"), "--tls-private-key-file="+p.pki("apiserver.key"), "--client-ca-file="+p.pki("ca.crt"),
		"--requestheader-client-ca-file="+p.pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file="+p.pki("front-proxy-client.crt"), "--proxy-client-key-file="+p.pki("front-proxy-client.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+p.pki("sa.pub"), "--service-account-signing-key-file="+p.pki("sa.key"),
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.0.0.0/16")
	if err != nil {
		return nil, 0, err
	}
	if p.admin == nil {
		if p.admin, err = clientcmd.BuildConfigFromFlags("", filepath.Join(p.dir, "super-admin.conf")); err != nil {
			return nil, 0, err
		}
		p.admin.QPS = -1
	}
	probe, err := rest.HTTPClientFor(p.admin)
	if err != nil {
		return nil, 0, err
	}
	if err := await(ctx, time.Minute, func() bool {
		resp, err := probe.Get(p.admin.Host + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}); err != nil {
		return nil, 0, fmt.Errorf("kube-apiserver (log: %s): %w", proc.log.Name(), err)
	}
	took := time.Since(began)
	proc.port = p.api
	return proc, took, nil
}

// startControllers starts kube-controller-manager and waits until it leads.
func (p *plane) startControllers(ctx context.Context) (*process, error) {
	kubeconfig := filepath.Join(p.dir, "controller-manager.conf")
	return p.startLeader(ctx, "kube-controller-manager", "--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--root-ca-file="+p.pki("ca.crt"), "--service-account-private-key-file="+p.pki("sa.key"), "--use-service-account-credentials=true",
		"--cluster-signing-cert-file="+p.pki("ca.crt"), "--cluster-signing-key-file="+p.pki("ca.key"))
}

// startScheduler starts kube-scheduler and waits until it leads.
func (p *plane) startScheduler(ctx context.Context) (*process, error) {
	kubeconfig := filepath.Join(p.dir, "scheduler.conf")
	return p.startLeader(ctx, "kube-scheduler", "--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig)
}

func (p *plane) startLeader(ctx context.Context, name string, args ...string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	proc, err := p.start(name, append(args, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port))...)
	if err != nil {
		return nil, err
	}
	proc.port = port
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	if err := await(ctx, time.Minute, func() bool { return holdsLease(ctx, client, name) }); err != nil {
		return nil, fmt.Errorf("%s (log: %s): %w", name, proc.log.Name(), err)
	}
	return proc, nil
}

// client speaks protobuf for the cluster's administrator, as fast as the server lets it.
func (p *plane) client() (kubernetes.Interface, error) {
	config := rest.CopyConfig(p.admin)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	return kubernetes.NewForConfig(config)
}

// stop ends the daemons, the newest first, and removes the folder.
func (p *plane) stop() error {
	for i := len(p.running) - 1; i >= 0; i-- {
		proc := p.running[i]
		_ = proc.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-proc.ended:
		case <-time.After(30 * time.Second):
			_ = proc.cmd.Process.Kill()
			<-proc.ended
		}
		proc.log.Close()
	}
	return os.RemoveAll(p.dir)
}

// await polls until check holds.
func await(ctx context.Context, patience time.Duration, check func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %v", patience))
	defer cancel()
	for !check() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond): // the poll's interval
		}
	}
	return nil
}

// pause waits without doing anything: what is measured after it is idle.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
