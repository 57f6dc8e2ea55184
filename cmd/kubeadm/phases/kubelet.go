package phases

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

// KubeletFiles writes what the kubelet reads before it starts: its configuration, the part of it that belongs to this node alone,
// and extra command line arguments. registerTaints makes the kubelet put the taints on its Node when it registers; the first
// control plane node is tainted later, when its API server is there.
func (n *Node) KubeletFiles(_ context.Context, registerTaints bool) error {
	n.say("kubelet-start", "Writing kubelet environment file with flags to file %q", KubeletFlags)
	if err := certs.WriteFile(n.At(KubeletFlags), n.kubeletFlags(registerTaints), 0o644); err != nil {
		return err
	}
	instance, err := config.Encode(instanceConfig(n.Registration.CRISocket))
	if err != nil {
		return err
	}
	if err := certs.WriteFile(n.At(InstanceConfig), instance, 0o600); err != nil {
		return err
	}
	n.say("kubelet-start", "Writing kubelet configuration to file %q", KubeletConfig)
	data, err := n.renderKubelet()
	if err != nil {
		return err
	}
	return certs.WriteFile(n.At(KubeletConfig), data, 0o644)
}

// renderKubelet merges the cluster's kubelet configuration with this node's part and the user's patches.
func (n *Node) renderKubelet() ([]byte, error) {
	merged := n.KubeletCfg.DeepCopy()
	merged.ContainerRuntimeEndpoint = n.Registration.CRISocket
	merged, err := patched(n.PatchesDir, kubeletTarget, merged)
	if err != nil {
		return nil, err
	}
	return config.Encode(merged)
}

// instanceConfig is the part of a kubelet's configuration that differs between nodes (KEP-4656): it survives upgrades, which take
// everything else from the cluster.
func instanceConfig(socket string) *kubeletv1beta1.KubeletConfiguration {
	return &kubeletv1beta1.KubeletConfiguration{
		TypeMeta:                 metav1.TypeMeta{APIVersion: kubeletv1beta1.SchemeGroupVersion.String(), Kind: config.KindKubelet},
		ContainerRuntimeEndpoint: socket,
	}
}

// kubeletFlags renders the environment file that a unit or supervisor reads.
func (n *Node) kubeletFlags(registerTaints bool) []byte {
	var defaults []config.Arg
	if n.Registration.Name != n.Hostname {
		defaults = append(defaults, config.Arg{Name: "hostname-override", Value: n.Registration.Name})
	}
	if registerTaints && len(n.Registration.Taints) > 0 {
		var taints []string
		for _, taint := range n.Registration.Taints {
			taints = append(taints, taintText(taint))
		}
		sort.Strings(taints)
		defaults = append(defaults, config.Arg{Name: "register-with-taints", Value: strings.Join(taints, ",")})
	}
	args := mergeArgs(defaults, n.Registration.KubeletExtraArgs)
	return fmt.Appendf(nil, "KUBELET_KUBEADM_ARGS=%q\n", strings.Join(args, " "))
}

func taintText(t corev1.Taint) string {
	if t.Value == "" {
		return t.Key + ":" + string(t.Effect)
	}
	return t.Key + "=" + t.Value + ":" + string(t.Effect)
}

// StartKubelet makes the kubelet run, or says who will.
func (n *Node) StartKubelet(ctx context.Context) error {
	if n.DryRun {
		n.say("dryrun", "Would start the kubelet")
		return nil
	}
	n.say("kubelet-start", "Starting the kubelet")
	managed, err := n.Kubelet.StartKubelet(ctx)
	if err != nil {
		return fmt.Errorf("starting the kubelet: %w", err)
	}
	if !managed {
		n.say("kubelet-start", "No systemd unit of a kubelet here: this node's supervisor starts it now that %s exists", KubeletConfig)
	}
	return nil
}

// RefreshKubelet rewrites this node's kubelet configuration, keeping the flags it has, and makes the kubelet read it.
func (n *Node) RefreshKubelet(ctx context.Context) error {
	n.say("kubelet-config", "Writing kubelet configuration to file %q", KubeletConfig)
	data, err := n.renderKubelet()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(n.At(KubeletConfig))
	if err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := certs.WriteFile(n.At(KubeletConfig), data, 0o644); err != nil {
		return err
	}
	return n.Kubelet.RestartKubelet(ctx)
}
