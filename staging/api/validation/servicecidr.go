package validation

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceCIDRCreate(c *networkingv1.ServiceCIDR) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	p := field.NewPath("spec", "cidrs")
	if len(c.Spec.CIDRs) == 0 {
		f.required(p, "", "at least one CIDR required")
		return f
	}
	serviceRanges(f, c.Spec.CIDRs, p)
	return f
}

func serviceRanges(f *faults, list []string, p *field.Path) {
	if len(list) > 2 {
		f.invalid(p, "", list, "may only hold up to 2 values")
	}
	var families []bool
	for i, c := range list {
		f.add(validation.IsValidCIDR(p.Index(i), c)...)
		if prefix, err := netip.ParsePrefix(c); err == nil {
			families = append(families, prefix.Addr().Is4())
		}
	}
	if len(families) == 2 && families[0] == families[1] {
		f.invalid(p, "", list, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96")
	}
}

// serviceCIDRUpdate: a single range may be completed by one of the other family.
func serviceCIDRUpdate(c, old *networkingv1.ServiceCIDR) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("spec", "cidrs")
	now, before := c.Spec.CIDRs, old.Spec.CIDRs
	if len(before) == 1 && len(now) == 2 {
		f.immutable(p.Index(0), "", now[0], before[0])
		serviceRanges(f, now, p)
		return f
	}
	f.immutable(p, "", now, before)
	return f
}

func serviceCIDRStatus(c, old *networkingv1.ServiceCIDR) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	conditionsOf(f, c.Status.Conditions, field.NewPath("status", "conditions"))
	return f
}
