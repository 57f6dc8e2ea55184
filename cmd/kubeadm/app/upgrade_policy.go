package app

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/preflight"
)

// versionPolicy says whether a cluster may go from one version to another with a kubeadm of a third
// (https://kubernetes.io/releases/version-skew-policy/).
func versionPolicy(current, target, own string, experimental, candidates bool) (fatal, warnings []error) {
	from, err := utilversion.ParseSemantic(current)
	if err != nil {
		return []error{fmt.Errorf("the cluster's version %q cannot be parsed: %w", current, err)}, nil
	}
	to, err := utilversion.ParseSemantic(target)
	if err != nil {
		return []error{fmt.Errorf("the target version %q cannot be parsed: %w", target, err)}, nil
	}
	tool, err := utilversion.ParseSemantic(own)
	if err != nil {
		return []error{fmt.Errorf("this kubeadm's version %q cannot be parsed: %w", own, err)}, nil
	}
	if from.Minor()+1 < to.Minor() {
		fatal = append(fatal, fmt.Errorf("specified version to upgrade to %q is too high; kubeadm can upgrade only 1 minor version at a time", target))
	}
	if to.LessThan(from) {
		if to.Minor() < from.Minor() {
			fatal = append(fatal, fmt.Errorf("specified version to upgrade to %q is lower than the cluster's %q: a downgrade of a minor version is not supported", target, current))
		} else {
			warnings = append(warnings, fmt.Errorf("going back from %s to %s", current, target))
		}
	}
	if tool.LessThan(to) {
		message := fmt.Errorf("specified version to upgrade to %q is higher than the kubeadm version %q: upgrade kubeadm first", target, own)
		if to.Minor() > tool.Minor() {
			fatal = append(fatal, message)
		} else {
			warnings = append(warnings, message)
		}
	}
	if pre := to.PreRelease(); pre != "" && !experimental && !(candidates && strings.HasPrefix(pre, "rc")) {
		fatal = append(fatal, fmt.Errorf("specified version to upgrade to %q is an unstable version: allow it with --allow-experimental-upgrades or --allow-release-candidate-upgrades", target))
	}
	return fatal, warnings
}

// clusterChecks asks whether the cluster is well enough to be upgraded.
func (d *upgradeData) clusterChecks() []preflight.Check {
	return []preflight.Check{
		{Name: "ControlPlaneNodesReady", Run: func(ctx context.Context) (warnings, faults []error) {
			nodes, err := d.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "node-role.kubernetes.io/control-plane"})
			if err != nil {
				return nil, []error{fmt.Errorf("listing control plane nodes: %w", err)}
			}
			for _, node := range nodes.Items {
				if !ready(&node) {
					faults = append(faults, fmt.Errorf("control plane node %s is not Ready: see `kubectl describe node %s`", node.Name, node.Name))
				}
			}
			return nil, faults
		}},
		{Name: "StaticPodManifest", Run: func(context.Context) (warnings, faults []error) {
			for _, name := range []string{phases.APIServer, phases.ControllerManager, phases.Scheduler} {
				if !d.env.Host.Exists(d.Manifest(name)) {
					faults = append(faults, fmt.Errorf("%s doesn't exist: run this command on a control plane node", d.Manifest(name)))
				}
			}
			return nil, faults
		}},
	}
}

func ready(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
