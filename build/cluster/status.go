package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Status tells what of the cluster runs.
func (c Config) Status(ctx context.Context, out io.Writer) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Cluster %q\n", c.Name)
	for _, n := range s.Config.NodeList() {
		state := "stopped"
		if p := s.Processes[n.Name]; p.alive() {
			state = fmt.Sprintf("running, init is PID %d", p.PID)
		}
		fmt.Fprintf(out, "  node %-18s %-12s %s\n", n.Name, n.Address, state)
	}
	forward := "stopped"
	if s.Processes["forward"].alive() {
		forward = "running"
	}
	fmt.Fprintf(out, "  API https://127.0.0.1:%d   forwarder %s\n  kubeconfig %s\n", s.APIPort, forward, c.Kubeconfig())
	nodes, err := c.kubectl(ctx, "get", "nodes", "-o", "wide")
	if err != nil {
		return fmt.Errorf("the API does not answer: %w", err)
	}
	fmt.Fprint(out, nodes)
	return nil
}

// Load imports an OCI or Docker archive into every node's containerd under the names that it carries.
func (c Config) Load(ctx context.Context, archive string, out io.Writer) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if archive == "" {
		return fmt.Errorf("IMAGE is missing: make load IMAGE=archive.tar")
	}
	if err := each(ctx, s.Config.NodeList(), func(ctx context.Context, n Node) error { return c.importArchive(ctx, n, archive) }); err != nil {
		return err
	}
	fmt.Fprintf(out, "Imported %s into %d nodes.\n", archive, s.Config.Nodes)
	return nil
}

// nodeLog is where a program of the node's init writes.
func (c Config) nodeLog(node, program string) string {
	return filepath.Join(c.nodeDir(node), "var", "log", program+".log")
}

// Logs writes the newest log of a part: kubelet, containerd, kubeadm, init, forward, or a container in
// kube-system by its name. Without a node it is that of the first node which has one.
func (c Config) Logs(part, node string, out io.Writer) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if part == "" {
		return fmt.Errorf("PART is missing: kubelet, containerd, kubeadm, init, forward, or a container such as kube-apiserver, etcd, coredns")
	}
	var candidates []string
	for _, n := range s.Config.NodeList() {
		if node != "" && n.Name != node {
			continue
		}
		dir := c.nodeDir(n.Name)
		pods, _ := filepath.Glob(filepath.Join(dir, "var", "log", "pods", "kube-system_*", part, "*.log"))
		sort.Slice(pods, func(i, j int) bool { return modified(pods[i]) > modified(pods[j]) })
		candidates = append(candidates, append([]string{c.nodeLog(n.Name, part), filepath.Join(dir, part+".log")}, pods...)...)
	}
	candidates = append(candidates, filepath.Join(c.dir(), part+".log"))
	for _, path := range candidates {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			fmt.Fprintln(out, "==>", strings.TrimPrefix(path, c.dir()+"/"))
			_, err = io.Copy(out, f)
			return err
		}
	}
	return fmt.Errorf("no log of %q: looked for %s", part, strings.Join(candidates, ", "))
}

func modified(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}
