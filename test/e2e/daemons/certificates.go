package daemons

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Certificates are those that kubeadm makes, with the kubeconfigs of a cluster's administrators and daemons.
type Certificates struct {
	// Dir holds the kubeconfigs, and the certificates and keys in pki/.
	Dir string
}

// NewCertificates makes them for an API server at a port of loopback.
func NewCertificates(dir string, port int) (Certificates, error) {
	c := Certificates{Dir: dir}
	configuration := filepath.Join(dir, "kubeadm.yaml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, `
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 127.0.0.1, bindPort: %d}
nodeRegistration: {name: alone}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
certificatesDir: %s
`, port, filepath.Join(dir, "pki")), 0o600); err != nil {
		return c, err
	}
	for _, phase := range [][]string{{"certs", "all"}, {"kubeconfig", "all", "--kubeconfig-dir=" + dir}} {
		args := append(append([]string{"init", "phase"}, phase...), "--config="+configuration)
		if out, err := exec.Command(Program("kubeadm"), args...).CombinedOutput(); err != nil {
			return c, fmt.Errorf("kubeadm %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return c, nil
}

// At is the path of a certificate or key, such as etcd/ca.crt.
func (c Certificates) At(name string) string { return filepath.Join(c.Dir, "pki", name) }

// Kubeconfig is the path of a kubeconfig, such as super-admin.conf.
func (c Certificates) Kubeconfig(name string) string { return filepath.Join(c.Dir, name) }
