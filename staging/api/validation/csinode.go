package validation

import (
	"fmt"

	"strings"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxNodeID = 192
)

func csiNodeCreate(n *storagev1.CSINode) *faults {
	f := metadata(&n.ObjectMeta, cluster, subdomainName)
	csiNodeDrivers(f, n.Spec.Drivers)
	return f
}

// csiNodeUpdate: a driver may come and go, but while it stays it keeps its identity.
func csiNodeUpdate(n, old *storagev1.CSINode) *faults {
	f := metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("spec", "drivers")
	csiNodeDrivers(f, n.Spec.Drivers)
	for i := range n.Spec.Drivers {
		d := n.Spec.Drivers[i]
		for j := range old.Spec.Drivers {
			o := old.Spec.Drivers[j]
			if o.Name != d.Name {
				continue
			}
			o.Allocatable = d.Allocatable // drivers may correct their limits (KEP-4876)
			if !same(d, o) {
				f.invalid(p.Index(i), "", n.Spec.Drivers[i], immutable)
			}
		}
	}
	return f
}

func csiNodeDrivers(f *faults, list []storagev1.CSINodeDriver) {
	p := field.NewPath("spec", "drivers")
	var names seen[string]
	for i := range list {
		d := &list[i]
		at := p.Index(i)
		driverName(f, d.Name, at, "name")
		if names.again(d.Name) {
			f.duplicate(at, "name", d.Name)
		}
		if f.present(at, "nodeID", d.NodeID) && len(d.NodeID) > maxNodeID {
			f.invalid(at, "nodeID", d.NodeID, fmt.Sprintf("must be %d characters or less", maxNodeID))
		}
		if a := d.Allocatable; a != nil && a.Count != nil && *a.Count < 0 {
			f.invalid(at.Child("allocatable"), "count", *a.Count, notNegative)
		}
		var keys seen[string]
		for _, k := range d.TopologyKeys {
			if keys.again(k) {
				f.duplicate(at, "topologyKeys", k)
			}
			labelKey(f, strings.ToLower(k), at.Child("topologyKeys"))
		}
	}
}
