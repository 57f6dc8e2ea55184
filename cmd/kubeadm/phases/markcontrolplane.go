package phases

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
)

// excludeFromBalancers keeps cloud load balancers off control plane nodes.
const excludeFromBalancers = "node.kubernetes.io/exclude-from-external-load-balancers"

// MarkControlPlane labels this node as a control plane node and taints it. It waits until the kubelet has registered the node.
func (n *Node) MarkControlPlane(ctx context.Context, client kubernetes.Interface) error {
	name, taints := n.Registration.Name, n.Registration.Taints
	labels := map[string]string{config.LabelControlPlane: "", excludeFromBalancers: ""}
	n.say("mark-control-plane", "Marking the node %s as control-plane by adding the labels: [%s %s]", name, config.LabelControlPlane, excludeFromBalancers)
	if len(taints) > 0 {
		texts := make([]string, len(taints))
		for i := range taints {
			texts[i] = taintText(taints[i])
		}
		n.say("mark-control-plane", "Marking the node %s as control-plane by adding the taints %v", name, texts)
	}
	err := cluster.Retry(ctx, n.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return apierrors.NewServiceUnavailable(fmt.Sprintf("node %q has not registered: see the kubelet's log", name))
		}
		if err != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"labels": labels, "uid": node.UID, "resourceVersion": node.ResourceVersion},
			"spec":     map[string]any{"taints": mergeTaints(node.Spec.Taints, taints)},
		})
		if err != nil {
			return err
		}
		_, err = client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("marking node %s: %w", name, err)
	}
	return nil
}

// mergeTaints adds taints to those a node has; one with the same key and effect is replaced.
func mergeTaints(have, add []corev1.Taint) []corev1.Taint {
	out := append([]corev1.Taint{}, add...)
	for _, old := range have {
		replaced := false
		for _, taint := range add {
			replaced = replaced || taint.MatchTaint(&old)
		}
		if !replaced {
			out = append(out, old)
		}
	}
	return out
}
