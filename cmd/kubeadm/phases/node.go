package phases

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"pilotis.dev/cmd/kubeadm/config"
)

// Fixed places of a node.
const (
	KubernetesDir  = "/etc/kubernetes"
	ManifestsDir   = KubernetesDir + "/manifests"
	KubeletDir     = "/var/lib/kubelet"
	KubeletConfig  = KubeletDir + "/config.yaml"
	KubeletFlags   = KubeletDir + "/kubeadm-flags.env"
	InstanceConfig = KubeletDir + "/instance-config.yaml"

	AdminConf      = "admin.conf"
	SuperAdminConf = "super-admin.conf"
	KubeletConf    = "kubelet.conf"
	BootstrapConf  = "bootstrap-kubelet.conf"
	ControllerConf = "controller-manager.conf"
	SchedulerConf  = "scheduler.conf"
)

// Kubelet starts and stops the kubelet of this machine.
type Kubelet interface {
	StartKubelet(ctx context.Context) (managed bool, err error)
	RestartKubelet(ctx context.Context) error
	StopKubelet(ctx context.Context) error
}

// ContainerLogs finds the log of a component's container.
type ContainerLogs interface {
	ContainerLog(ctx context.Context, name string) (path string, running bool, err error)
}

// Node is one node of a cluster, as the phases of init, join and upgrade work on it.
type Node struct {
	Cluster      *config.ClusterConfiguration
	Registration *config.NodeRegistration
	Endpoint     config.APIEndpoint // where this node's API server listens; unused on workers
	KubeletCfg   *kubeletv1beta1.KubeletConfiguration
	ProxyCfg     *proxyv1alpha1.KubeProxyConfiguration
	Timeouts     *config.Timeouts
	PatchesDir   string
	// EtcdMembers are the members of the etcd cluster a joining control plane node becomes part of: peer URL by name. Empty for the
	// first node.
	EtcdMembers map[string]string

	// Root is put before every path that is read or written: empty on a real run, a scratch folder in a dry run. Paths inside the
	// files are those of the node.
	Root   string
	DryRun bool
	// KubeconfigDir is where kubeconfigs lie; empty means KubernetesDir.
	KubeconfigDir string

	Out io.Writer
	Now func() time.Time

	Kubelet Kubelet
	Logs    func(ctx context.Context) (ContainerLogs, error)
	// Hostname is what the kubelet would call the node by itself.
	Hostname string
	// Nameservers says whether pods that inherit the node's resolver find a DNS server there.
	Nameservers bool
}

// At returns where a path of the node lies in this run.
func (n *Node) At(path string) string { return filepath.Join(n.Root, path) }

// PKI is the folder of certificates in this run.
func (n *Node) PKI() string { return n.At(n.Cluster.CertificatesDir) }

// Conf is where a kubeconfig lies in this run.
func (n *Node) Conf(name string) string {
	return n.At(filepath.Join(cmp.Or(n.KubeconfigDir, KubernetesDir), name))
}

// Manifest is where a static pod's manifest lies in this run.
func (n *Node) Manifest(component string) string {
	return n.At(filepath.Join(ManifestsDir, component+".yaml"))
}

// exists reports whether a path is there on the node.
func (n *Node) exists(path string) bool {
	_, err := os.Stat(n.At(path))
	return err == nil
}

// say prints a line of progress: say("certs", "Generating …") prints "[certs] Generating …".
func (n *Node) say(phase, format string, args ...any) {
	fmt.Fprintf(n.Out, "["+phase+"] "+format+"\n", args...)
}
