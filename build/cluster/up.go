package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pilotis.dev/build/images"
)

// Up brings the cluster up, or completes one that stands in part. It reports each step to out.
func (c Config) Up(ctx context.Context, out io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("nodes are made of kernel namespaces: make up needs root (sudo make up)")
	}
	p := &progress{out: out, start: time.Now()}
	s, err := c.load()
	if errors.Is(err, ErrNoCluster) {
		s, err = c.newState()
	}
	if err != nil {
		return err
	}
	if s.Config.Nodes != c.Nodes || s.Config.ControlPlanes != c.ControlPlanes {
		return fmt.Errorf("cluster %q stands with NODES=%d CONTROL_PLANES=%d: make down CLUSTER=%s before changing them", c.Name, s.Config.Nodes, s.Config.ControlPlanes, c.Name)
	}
	fmt.Fprintf(out, "Cluster %q: %d nodes\n", c.Name, c.Nodes)
	nodes := c.NodeList()
	if err := p.step("switch and nodes", c.nodeDir("NODE")+"/init.log", func() error { return c.startNodes(s, nodes) }); err != nil {
		return err
	}
	if err := p.step("container runtimes", c.nodeDir("NODE")+"/init.log and "+c.nodeLog("NODE", "containerd"), func() error {
		return each(ctx, nodes, func(ctx context.Context, n Node) error { return c.awaitRuntime(ctx, s, n) })
	}); err != nil {
		return err
	}
	if err := p.step("images into the nodes", c.nodeLog("NODE", "containerd"), func() error {
		return each(ctx, nodes, c.loadImages)
	}); err != nil {
		return err
	}
	first := nodes[0]
	if err := p.step("kubeadm init on "+first.Name, filepath.Join(c.nodeDir(first.Name), "kubeadm.log"), func() error {
		return c.initialise(ctx, s, first)
	}); err != nil {
		return err
	}
	if err := p.step(fmt.Sprintf("API on https://127.0.0.1:%d", s.APIPort), filepath.Join(c.dir(), "forward.log"), func() error {
		return c.openAPI(ctx, s)
	}); err != nil {
		return err
	}
	if len(nodes) > 1 {
		if err := p.step("kubeadm join on the other nodes", filepath.Join(c.nodeDir("NODE"), "kubeadm.log"), func() error {
			return each(ctx, nodes[1:], func(ctx context.Context, n Node) error { return c.join(ctx, s, n) })
		}); err != nil {
			return err
		}
	}
	if err := p.step("nodes ready", c.nodeLog("NODE", "kubelet"), func() error { return c.awaitNodes(ctx) }); err != nil {
		return err
	}
	if err := p.step("proxy and pod network on every node", c.nodeLog("NODE", "kubelet"), func() error { return c.awaitNodeAddons(ctx) }); err != nil {
		return err
	}
	if err := p.step("cluster DNS answers", c.nodeLog("NODE", "kubelet"), func() error { return c.awaitDNS(ctx) }); err != nil {
		return err
	}
	c.printReach(out, s, time.Since(p.start))
	return nil
}

func (c Config) newState() (*state, error) {
	port, err := c.choosePort()
	if err != nil {
		return nil, err
	}
	var random [11]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	token := hex.EncodeToString(random[:])
	s := &state{Config: c, APIPort: port, Token: token[:6] + "." + token[6:22], Processes: map[string]process{}, Setup: map[string]setup{}}
	return s, s.save()
}

// startNodes makes the network and the nodes that do not run.
func (c Config) startNodes(s *state, nodes []Node) error {
	if err := c.sysctls().raise(); err != nil {
		return err
	}
	if err := c.createSwitch(); err != nil {
		return err
	}
	if err := checkNftables(c.namespace(switchNamespace)); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := c.clearHalfDone(s, n); err != nil {
			return atNode(n, err)
		}
		if s.Processes[n.Name].alive() {
			continue
		}
		if err := c.connect(n); err != nil {
			return atNode(n, err)
		}
		proc, err := c.spawn(n)
		if err != nil {
			return atNode(n, err)
		}
		s.Processes[n.Name] = proc
		if err := s.save(); err != nil {
			return err
		}
	}
	return nil
}

// clearHalfDone ends what a tool that was killed left of the node: an init that it did not note, and a node on which
// kubeadm was begun and not finished, which is made anew.
func (c Config) clearHalfDone(s *state, n Node) error {
	half := s.Setup[n.Name] == setupBegun
	if !half && s.Processes[n.Name].alive() {
		return nil
	}
	if err := s.Processes[n.Name].kill(); err != nil {
		return err
	}
	if err := c.endStrays(n.Name); err != nil {
		return err
	}
	if !half {
		return nil
	}
	for deadline := time.Now().Add(30 * time.Second); s.Processes[n.Name].alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d of the half-made node does not end", s.Processes[n.Name].PID)
		}
	}
	if err := os.RemoveAll(c.nodeDir(n.Name)); err != nil {
		return err
	}
	delete(s.Setup, n.Name)
	return s.save()
}

func (c Config) awaitRuntime(ctx context.Context, s *state, n Node) error {
	return eventually(ctx, c.Wait, "containerd of node "+n.Name+" is ready", func(ctx context.Context) error {
		if !s.Processes[n.Name].alive() {
			return fatal(fmt.Errorf("its init ended: %s", tail(filepath.Join(c.nodeDir(n.Name), "init.log"))))
		}
		_, err := c.run(ctx, n, "test", "-e", runtimeReady)
		return err
	})
}

// loadImages imports what the node runs; containerd skips the layers that it has.
func (c Config) loadImages(ctx context.Context, n Node) error {
	have, err := c.run(ctx, n, "ctr", "-n", "k8s.io", "images", "list", "-q")
	if err != nil {
		return err
	}
	for _, image := range images.All {
		if !n.ControlPlane && controlPlaneImage(image.Name) {
			continue
		}
		if strings.Contains(have, image.Reference()+"\n") {
			continue
		}
		if err := c.importArchive(ctx, n, images.Builder{Root: c.Root}.Path(image)); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w (make images builds it)", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func controlPlaneImage(name string) bool {
	switch name {
	case "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		return true
	}
	return false
}

func (c Config) importArchive(ctx context.Context, n Node, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("image archive: %w", err)
	}
	defer f.Close()
	cmd, err := c.command(ctx, n, "ctr", "-n", "k8s.io", "images", "import", "--local", "--all-platforms=false", "-")
	if err != nil {
		return err
	}
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing %s on node %s: %w: %s", filepath.Base(archive), n.Name, err, out)
	}
	return nil
}

func (c Config) initialise(ctx context.Context, s *state, n Node) error {
	if s.Setup[n.Name] == setupDone {
		return nil
	}
	if err := s.mark(n, setupBegun); err != nil {
		return err
	}
	if err := c.kubeadm(ctx, n, c.initConfiguration(s, n), "init"); err != nil {
		return err
	}
	if err := c.writeKubeconfig(s, n); err != nil {
		return err
	}
	return s.mark(n, setupDone)
}

func (c Config) join(ctx context.Context, s *state, n Node) error {
	if s.Setup[n.Name] == setupDone {
		return nil
	}
	if err := s.mark(n, setupBegun); err != nil {
		return err
	}
	// A join that was broken off may have left its Node object, which kubeadm takes for another machine's.
	if _, err := c.kubectl(ctx, "delete", "node", n.Name, "--ignore-not-found"); err != nil {
		return err
	}
	config, err := c.joinConfiguration(s, n)
	if err != nil {
		return err
	}
	if err := c.kubeadm(ctx, n, config, "join"); err != nil {
		return err
	}
	return s.mark(n, setupDone)
}

// kubeadm runs a kubeadm command inside the node with the configuration given, its output in the node's kubeadm.log.
func (c Config) kubeadm(ctx context.Context, n Node, config, verb string) error {
	log, err := os.OpenFile(filepath.Join(c.nodeDir(n.Name), "kubeadm.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	write, err := c.command(ctx, n, "sh", "-c", "umask 077; cat > /etc/kubernetes/kubeadm.yaml")
	if err != nil {
		return err
	}
	write.Stdin = strings.NewReader(config)
	if out, err := write.CombinedOutput(); err != nil {
		return fmt.Errorf("writing kubeadm's configuration on node %s: %w: %s", n.Name, err, out)
	}
	cmd, err := c.command(ctx, n, "kubeadm", verb, "--config=/etc/kubernetes/kubeadm.yaml")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubeadm %s: %w: %s", verb, err, complaint(log.Name()))
	}
	return nil
}

// tail is the last line of a log, which tells why its program gave up.
func tail(path string) string {
	all, err := lines(path)
	if err != nil {
		return err.Error()
	}
	return all[len(all)-1]
}

// complaint is what kubeadm said when it gave up: its last "error: " line with the first of those below it, which name
// the part that is ill and quote its log. The last line alone may be one of a healthy part's log.
func complaint(path string) string {
	const enough = 10
	all, err := lines(path)
	if err != nil {
		return err.Error()
	}
	for i := len(all) - 1; i >= 0; i-- {
		if first, is := strings.CutPrefix(all[i], "error: "); is {
			rest := all[i+1:]
			return strings.Join(append([]string{first}, rest[:min(len(rest), enough)]...), "\n")
		}
	}
	return all[len(all)-1]
}

// lines are those of a file, at least one.
func lines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	return strings.Split(strings.TrimSpace(string(data)), "\n"), err
}

// awaitNodes waits until every node is Ready.
func (c Config) awaitNodes(ctx context.Context) error {
	return eventually(ctx, c.Wait, "all nodes become Ready", func(ctx context.Context) error {
		out, err := c.kubectl(ctx, "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		if err != nil {
			return err
		}
		for _, n := range c.NodeList() {
			if !strings.Contains(out, n.Name+"=True\n") {
				return fmt.Errorf("node %s is not Ready", n.Name)
			}
		}
		return nil
	})
}

// awaitNodeAddons waits until what serves Services and pods' addresses is ready on every node.
func (c Config) awaitNodeAddons(ctx context.Context) error {
	err := eventually(ctx, c.Wait, "kube-proxy and podnet are ready on every node", func(ctx context.Context) error {
		for _, name := range []string{"kube-proxy", "podnet"} {
			ready, err := c.kubectl(ctx, "get", "daemonset", name, "--namespace=kube-system", "--output=jsonpath={.status.numberReady}")
			if err != nil {
				return err
			}
			if n, _ := strconv.Atoi(ready); n < len(c.NodeList()) {
				return fmt.Errorf("%s is ready on %d of %d nodes", name, n, len(c.NodeList()))
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w%s", err, c.waitingPods(ctx))
}

// awaitDNS waits until the cluster's DNS Service answers for the API's own name, as a pod would ask it.
func (c Config) awaitDNS(ctx context.Context) error {
	first := c.NodeList()[0]
	err := eventually(ctx, c.Wait, "cluster DNS answers", func(ctx context.Context) error {
		return inNamespace(c.namespace(first.Name), func() error {
			return resolve(ctx, clusterDNS, "kubernetes.default.svc.cluster.local.")
		})
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w%s", err, c.waitingPods(ctx))
}

// waitingPods tells a line for each pod that does not run and what it waits for.
func (c Config) waitingPods(ctx context.Context) string {
	out, err := c.kubectl(ctx, "get", "pods", "--all-namespaces", "--field-selector=status.phase!=Running,status.phase!=Succeeded",
		`--output=jsonpath={range .items[*]}{"\n  pod "}{.metadata.namespace}/{.metadata.name} is {.status.phase}: {.status.conditions[?(@.status=="False")].message}{end}`)
	if err != nil {
		return fmt.Sprintf("\n  and its pods cannot be listed: %v", err)
	}
	return out
}

func (c Config) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.bin("kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig(), "--request-timeout=10s"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

func (c Config) printReach(out io.Writer, s *state, took time.Duration) {
	fmt.Fprintf(out, `Cluster %q is up after %.1fs.

  export KUBECONFIG=%s
  kubectl get nodes        (make kubectl builds it to bin/)

  API server      https://127.0.0.1:%d
  logs            make logs PART=kubelet|containerd|kube-apiserver|…
  pod network     make enter CMD="curl http://POD-IP:PORT"
  take it down    make down
`, c.Name, took.Seconds(), c.Kubeconfig(), s.APIPort)
}
