package validation

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ipAddressCreate: the name is the address, in its canonical form.
func ipAddressCreate(a *networkingv1.IPAddress) *faults {
	f := metadata(&a.ObjectMeta, cluster, addressName)
	r := a.Spec.ParentRef
	p := field.NewPath("spec", "parentRef")
	if r == nil {
		f.required(p, "", "")
		return f
	}
	if r.Group != "" {
		f.dnsSubdomain(p, "group", r.Group)
	}
	if f.present(p, "resource", r.Resource) {
		f.messages(p, "resource", r.Resource, segmentName(r.Resource, false))
	}
	if f.present(p, "name", r.Name) {
		f.messages(p, "name", r.Name, segmentName(r.Name, false))
	}
	if r.Namespace != "" {
		f.messages(p, "namespace", r.Namespace, segmentName(r.Namespace, false))
	}
	return f
}

func ipAddressUpdate(a, old *networkingv1.IPAddress) *faults {
	f := metadataUpdate(&a.ObjectMeta, &old.ObjectMeta)
	f.immutable(field.NewPath("spec"), "parentRef", a.Spec.ParentRef, old.Spec.ParentRef)
	return f
}

func addressName(name string, _ bool) []string {
	a, err := netip.ParseAddr(name)
	switch {
	case err != nil:
		return []string{"must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"}
	case a.Is4In6() || a.String() != name || a.Zone() != "":
		return []string{"must be in canonical form (\"" + a.Unmap().String() + "\")"}
	}
	return nil
}
