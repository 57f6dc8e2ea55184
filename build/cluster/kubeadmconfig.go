package cluster

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"pilotis.dev/build/binaries"
	"pilotis.dev/build/images"
)

// initConfiguration is what `kubeadm init` is told. The control plane takes ordinary pods: a small cluster has
// no nodes to spare. All nodes share the machine's disk, of which a percentage says nothing about a node; and an image
// that is collected could not be pulled again.
func (c Config) initConfiguration(s *state, n Node) string {
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: %s
  ttl: 24h0m0s
  usages: [signing, authentication]
  groups: ["system:bootstrappers:kubeadm:default-node-token"]
localAPIEndpoint:
  advertiseAddress: %s
  bindPort: 6443
nodeRegistration:
  name: %s
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: IfNotPresent
%s  taints: []
  kubeletExtraArgs:
  - name: node-ip
    value: %s
timeouts: %s
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: %s
kubernetesVersion: %s
imageRepository: %s
controlPlaneEndpoint: %s:6443
networking:
  podSubnet: %s
  serviceSubnet: %s
  dnsDomain: cluster.local
apiServer:
  certSANs: ["127.0.0.1", "localhost"]
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
imageGCHighThresholdPercent: 100
failSwapOn: false
failCgroupV1: false
protectKernelDefaults: false
clusterDNS: ["%s"]
clusterDomain: cluster.local
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
conntrack:
  maxPerCore: 0
`, s.Token, n.Address, n.Name, ignoredChecks(), n.Address, c.timeouts(), c.Name, binaries.Version, images.Repository, c.NodeList()[0].Address, podSubnet, serviceSubnet, clusterDNS)
}

// ignoredChecks leaves out the one preflight check that machines with cgroup v1 fail: nodes run on them all the same.
func ignoredChecks() string {
	if unifiedAt(cgroupRoot) {
		return ""
	}
	return "  ignorePreflightErrors: [SystemVerification]\n"
}

// timeouts lets kubeadm wait for each part as long as Up does.
func (c Config) timeouts() string {
	return fmt.Sprintf("{kubeletHealthCheck: %[1]s, controlPlaneComponentHealthCheck: %[1]s, discovery: %[1]s, tlsBootstrap: %[1]s}", c.Wait)
}

// joinConfiguration is what `kubeadm join` is told: the cluster is known by a token and the hash of its CA.
func (c Config) joinConfiguration(s *state, n Node) (string, error) {
	hash, err := c.caHash()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    token: %s
    apiServerEndpoint: %s:6443
    caCertHashes: ["%s"]
nodeRegistration:
  name: %s
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: IfNotPresent
%s  kubeletExtraArgs:
  - name: node-ip
    value: %s
timeouts: %s
`, s.Token, c.NodeList()[0].Address, hash, n.Name, ignoredChecks(), n.Address, c.timeouts()), nil
}

// nodeFile is where a file below the node's /etc lies on the machine.
func (c Config) nodeFile(node, path string) string {
	return filepath.Join(c.nodeDir(node), "etc", "upper", strings.TrimPrefix(path, "/etc/"))
}

func (c Config) caHash() (string, error) {
	data, err := os.ReadFile(c.nodeFile(c.NodeList()[0].Name, "/etc/kubernetes/pki/ca.crt"))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", errors.New("the cluster's CA certificate is no PEM file")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(cert.RawSubjectPublicKeyInfo)), nil
}

var serverLine = regexp.MustCompile(`(?m)^(\s*server:).*$`)

// writeKubeconfig copies kubeadm's admin.conf with the address that the machine reaches the API at.
func (c Config) writeKubeconfig(s *state, n Node) error {
	data, err := os.ReadFile(c.nodeFile(n.Name, "/etc/kubernetes/admin.conf"))
	if err != nil {
		return err
	}
	data = serverLine.ReplaceAll(data, fmt.Appendf(nil, "$1 https://127.0.0.1:%d", s.APIPort))
	return os.WriteFile(c.Kubeconfig(), data, 0o600)
}
