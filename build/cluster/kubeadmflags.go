package cluster

import (
	"os"
	"strings"
)

// kubeadmFlags reads KUBELET_KUBEADM_ARGS of /var/lib/kubelet/kubeadm-flags.env, which kubeadm writes and a
// systemd unit would hand to the kubelet.
func kubeadmFlags() []string {
	data, err := os.ReadFile("/var/lib/kubelet/kubeadm-flags.env")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "KUBELET_KUBEADM_ARGS="); ok {
			return strings.Fields(strings.Trim(value, `"`))
		}
	}
	return nil
}
