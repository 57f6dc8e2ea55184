package cluster

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// containerdConfig is containerd 2's configuration of a node. OOM scores below the node's own are refused by
// machines that lack CAP_SYS_RESOURCE, hence the restriction; images are imported, never pulled. The CPU rates of
// containers are as old as cAdvisor's were, 10 s: a look at each of them every second, the default, is 15 % of what the
// shims do while pods start (docs/performance.md).
const containerdConfig = `version = 3
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "pilotis.dev/pause:3.10.1"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  stats_collect_period = "10s"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "/usr/local/bin/runc"
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
    use_internal_loopback = true
`

// writeNodeFiles writes the files of /etc that make the node a machine of its own. There is no name server:
// the cluster has no way outside.
func writeNodeFiles(c Config, n Node) error {
	hosts := []string{"127.0.0.1 localhost", "::1 localhost ip6-localhost"}
	for _, other := range c.NodeList() {
		hosts = append(hosts, other.Address+" "+other.Name)
	}
	sum := sha256.Sum256([]byte(c.Name + "/" + n.Name))
	for path, content := range map[string]string{
		"/etc/hosts":                  strings.Join(hosts, "\n") + "\n",
		"/etc/hostname":               n.Name + "\n",
		"/etc/resolv.conf":            "",
		"/etc/machine-id":             fmt.Sprintf("%x\n", sum[:16]),
		"/etc/containerd/config.toml": containerdConfig,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// A link (resolv.conf on some machines) would lead out of the overlay.
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
