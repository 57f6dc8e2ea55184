package validation

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func nodeCreate(n *corev1.Node) *faults {
	f := metadata(&n.ObjectMeta, cluster, subdomainName)
	spec := field.NewPath("spec")
	taints(f, n.Spec.Taints, spec.Child("taints"))
	nodeResources(f, n)
	podCIDRs(f, n.Spec.PodCIDRs, nil, spec.Child("podCIDRs"))
	return f
}

func nodeUpdate(n, old *corev1.Node) *faults {
	f := metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	nodeResources(f, n)
	nodeAddresses(f, n)
	if len(old.Spec.PodCIDRs) > 0 {
		if !same(n.Spec.PodCIDRs, old.Spec.PodCIDRs) {
			f.forbidden(spec, "podCIDRs", "node updates may not change podCIDR except from \"\" to valid")
		}
	} else {
		podCIDRs(f, n.Spec.PodCIDRs, old.Spec.PodCIDRs, spec.Child("podCIDRs"))
	}
	if old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID {
		f.forbidden(spec, "providerID", "node updates may not change providerID except from \"\" to valid")
	}
	if n.Spec.ConfigSource != nil {
		f.forbidden(spec, "configSource", "configSource may not be set, because dynamic kubelet configuration was removed")
	}
	if !same(n.Spec.Taints, old.Spec.Taints) {
		taints(f, n.Spec.Taints, spec.Child("taints"))
	}
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		f.forbidden(spec, "externalID", "may not be updated")
	}
	return f
}

func nodeStatus(n, old *corev1.Node) *faults { return nodeUpdate(n, old) }

func nodeResources(f *faults, n *corev1.Node) {
	status := field.NewPath("status")
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"capacity", n.Status.Capacity}, {"allocatable", n.Status.Allocatable}} {
		for name, q := range l.list {
			if containerResource(name) && q.Sign() >= 0 {
				continue
			}
			resourceAmount(f, name, q, status.Child(l.name).Key(string(name)))
		}
	}
}

func nodeAddresses(f *faults, n *corev1.Node) {
	var once seen[corev1.NodeAddress]
	for i, a := range n.Status.Addresses {
		if once.again(a) {
			f.duplicate(field.NewPath("status", "addresses").Index(i), "", a)
		}
	}
}

func taints(f *faults, list []corev1.Taint, p *field.Path) {
	type pair struct {
		key    string
		effect corev1.TaintEffect
	}
	var pairs seen[pair]
	for i, t := range list {
		at := p.Index(i)
		labelKey(f, t.Key, at.Child("key"))
		f.messages(at, "value", t.Value, validation.IsValidLabelValue(t.Value))
		taintEffect(f, t.Effect, at)
		if pairs.again(pair{t.Key, t.Effect}) {
			f.add(field.Duplicate(at, t))
		}
	}
}

// podCIDRs gives a node one range a family.
func podCIDRs(f *faults, list, before []string, p *field.Path) {
	var v4, v6 int
	for i, c := range list {
		f.add(validation.IsValidCIDRForLegacyField(p.Index(i), c, true, before)...)
		if prefix, err := netip.ParsePrefix(c); err != nil {
			continue
		} else if prefix.Addr().Is4() {
			v4++
		} else {
			v6++
		}
	}
	if v4 > 1 || v6 > 1 {
		f.invalid(p, "", list, "may specify no more than one CIDR for each IP family")
	}
}
