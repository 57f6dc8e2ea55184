package admission

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
)

// nodes: a kubelet writes its own Node, but neither taints, nor owners, nor labels by which others trust the node.
func (p *nodeRestriction) nodes(_ context.Context, name string, a admission.Attributes) error {
	requested := a.GetName()
	var n, old *corev1.Node
	var err error
	if a.GetOperation() != admission.Delete {
		if n, err = object[*corev1.Node](a); err != nil {
			return err
		}
		if requested == "" {
			requested = n.Name
		}
	}
	if requested != name {
		return refuse("node %q is not allowed to modify node %q", name, requested)
	}
	switch a.GetOperation() {
	case admission.Create:
		if n.Spec.ConfigSource != nil {
			return refuse("node %q is not allowed to create pods with a non-nil configSource", name)
		}
		if len(n.OwnerReferences) > 0 {
			return refuse("node %q is not allowed to set ownerReferences", name)
		}
		if bad := forbiddenLabels(n.Labels, nil); len(bad) > 0 {
			return refuse("is not allowed to set the following labels on node %q: %s", name, strings.Join(bad, ", "))
		}
	case admission.Update:
		if old, err = oldObject[*corev1.Node](a); err != nil {
			return err
		}
		if n.Spec.ConfigSource != nil && !equality.Semantic.DeepEqual(n.Spec.ConfigSource, old.Spec.ConfigSource) {
			return refuse("node %q is not allowed to update configSource to a new non-nil configSource", name)
		}
		if !equality.Semantic.DeepEqual(n.Spec.Taints, old.Spec.Taints) {
			return refuse("node %q is not allowed to modify taints", name)
		}
		if !equality.Semantic.DeepEqual(n.OwnerReferences, old.OwnerReferences) {
			return refuse("node %q is not allowed to modify ownerReferences", name)
		}
		if bad := forbiddenLabels(n.Labels, old.Labels); len(bad) > 0 {
			return refuse("node %q is not allowed to modify labels: %s", name, strings.Join(bad, ", "))
		}
	}
	return nil
}

// forbiddenLabels are the changed labels that a kubelet may not decide: those of node-restriction.kubernetes.io, which
// administrators use to keep pods on trusted nodes, and unknown ones of Kubernetes' own domains.
func forbiddenLabels(labels, old map[string]string) []string {
	var bad []string
	check := func(key string) {
		domain, _, qualified := strings.Cut(key, "/")
		if !qualified {
			return
		}
		restricted := domain == corev1.LabelNamespaceNodeRestriction || strings.HasSuffix(domain, "."+corev1.LabelNamespaceNodeRestriction)
		if restricted || (kubernetesDomain(domain) && !kubeletLabel(domain, key)) {
			bad = append(bad, key)
		}
	}
	for k, v := range labels {
		if o, ok := old[k]; !ok || o != v {
			check(k)
		}
	}
	for k := range old {
		if _, ok := labels[k]; !ok {
			check(k)
		}
	}
	slices.Sort(bad)
	return bad
}

func kubernetesDomain(domain string) bool {
	for _, d := range []string{"kubernetes.io", "k8s.io"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return false
}

// kubeletLabel reports whether a label of Kubernetes' domains is one that kubelets set.
func kubeletLabel(domain, key string) bool {
	for _, d := range []string{corev1.LabelNamespaceSuffixKubelet, corev1.LabelNamespaceSuffixNode} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	switch key {
	case corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
		corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
		corev1.LabelInstanceType, corev1.LabelInstanceTypeStable,
		corev1.LabelOSStable, corev1.LabelArchStable,
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch":
		return true
	}
	return false
}
