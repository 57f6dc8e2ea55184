package validation

import (
	"context"
	"regexp"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	declared "pilotis.dev/api/validation/zz_generated/resource"
)

func resourceSliceCreate(s *resourcev1.ResourceSlice) *faults {
	f := metadata(&s.ObjectMeta, cluster, subdomainName)
	resourceSliceSpec(f, &s.Spec, creating(), nil)
	return f
}

func resourceSliceUpdate(s, old *resourcev1.ResourceSlice) *faults {
	f := metadataUpdate(&s.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("spec")
	if same(&s.Spec, &old.Spec) {
		return f
	}
	resourceSliceSpec(f, &s.Spec, updating(), &old.Spec)
	f.immutable(p, "driver", s.Spec.Driver, old.Spec.Driver)
	f.immutable(p.Child("pool"), "name", s.Spec.Pool.Name, old.Spec.Pool.Name)
	f.immutable(p, "nodeName", s.Spec.NodeName, old.Spec.NodeName)
	return f
}

func resourceSliceSpec(f *faults, s *resourcev1.ResourceSliceSpec, op operation.Operation, old *resourcev1.ResourceSliceSpec) {
	p := field.NewPath("spec")
	f.add(declared.Validate_ResourceSliceSpec(context.Background(), op, p, s, old)...)
	driverName(f, s.Driver, p, "driver")
	pool(f, &s.Pool, p.Child("pool"))
	nodeChoice(f, s, p)
	limit := resourcev1.ResourceSliceMaxDevices
	if len(s.SharedCounters) > 0 || advanced(s.Devices) {
		limit = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
	}
	f.tooMany(p, "devices", len(s.Devices), limit)
	var names seen[string]
	for i := range s.Devices {
		at := p.Child("devices").Index(i)
		device(f, &s.Devices[i], s, at)
		if names.again(s.Devices[i].Name) {
			f.duplicate(at, "name", s.Devices[i].Name)
		}
	}
}

func advanced(list []resourcev1.Device) bool {
	for i := range list {
		if len(list[i].Taints) > 0 || len(list[i].ConsumesCounters) > 0 {
			return true
		}
	}
	return false
}

func pool(f *faults, pool *resourcev1.ResourcePool, p *field.Path) {
	if f.present(p, "name", pool.Name) {
		if len(pool.Name) > resourcev1.PoolNameMaxLength {
			f.tooLong(p, "name", resourcev1.PoolNameMaxLength)
		}
		for part := range strings.SplitSeq(pool.Name, "/") {
			f.messages(p, "name", part, validation.IsDNS1123Subdomain(part))
		}
	}
	if pool.ResourceSliceCount <= 0 {
		f.invalid(p, "resourceSliceCount", pool.ResourceSliceCount, positive)
	}
	f.notNegative(p, "generation", pool.Generation)
}

// nodeChoice: the devices of a slice are reached in one way.
func nodeChoice(f *faults, s *resourcev1.ResourceSliceSpec, p *field.Path) {
	n := 0
	if s.NodeName != nil {
		n++
		if *s.NodeName == "" {
			f.invalid(p, "nodeName", *s.NodeName, "must be either unset or set to a non-empty string")
		} else {
			f.dnsSubdomain(p, "nodeName", *s.NodeName)
		}
	}
	if s.NodeSelector != nil {
		n++
		nodeSelector(f, s.NodeSelector, false, p.Child("nodeSelector"))
		if len(s.NodeSelector.NodeSelectorTerms) != 1 {
			f.invalid(p.Child("nodeSelector"), "nodeSelectorTerms", s.NodeSelector.NodeSelectorTerms, "must have exactly one node selector term")
		}
	}
	if s.AllNodes != nil {
		n++
		if !*s.AllNodes {
			f.invalid(p, "allNodes", *s.AllNodes, "must be either unset or set to true")
		}
	}
	if s.PerDeviceNodeSelection != nil {
		n++
		if !*s.PerDeviceNodeSelection {
			f.invalid(p, "perDeviceNodeSelection", *s.PerDeviceNodeSelection, "must be either unset or set to true")
		}
	}
	const text = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` "
	switch {
	case n == 0 && (len(s.Devices) > 0 || len(s.SharedCounters) == 0):
		f.required(p, "", text+"is required")
	case n > 1:
		f.invalid(p, "", "{...}", text+"is required, but multiple fields are set")
	}
}

func device(f *faults, d *resourcev1.Device, s *resourcev1.ResourceSliceSpec, p *field.Path) {
	f.messages(p, "name", d.Name, validation.IsDNS1123Label(d.Name))
	if n := len(d.Attributes) + len(d.Capacity); n > resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice {
		f.invalid(p, "", n, "the total number of attributes and capacities must not exceed 32")
	}
	for name, a := range d.Attributes {
		at := p.Child("attributes").Key(string(name))
		qualifiedName(f, string(name), at)
		attribute(f, &a, at)
	}
	for name, c := range d.Capacity {
		at := p.Child("capacity").Key(string(name))
		qualifiedName(f, string(name), at)
		if c.RequestPolicy != nil && (d.AllowMultipleAllocations == nil || !*d.AllowMultipleAllocations) {
			f.forbidden(at, "requestPolicy", "allowed only when allowMultipleAllocations is true")
		}
	}
	deviceTaints(f, d.Taints, p.Child("taints"))
	perDevice := s.PerDeviceNodeSelection != nil && *s.PerDeviceNodeSelection
	set := d.NodeName != nil || d.NodeSelector != nil || d.AllNodes != nil
	if set && !perDevice {
		f.invalid(p, "", d.Name, "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec")
	}
	if perDevice && !set {
		f.required(p, "", "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec")
	}
}

// qualifiedName is a C identifier, with a domain or without.
func qualifiedName(f *faults, name string, p *field.Path) {
	if name == "" {
		f.required(p, "", "name required")
		return
	}
	id := name
	if domain, rest, ok := strings.Cut(name, "/"); ok {
		id = rest
		if len(domain) > resourcev1.DeviceMaxDomainLength {
			f.tooLong(p, "", resourcev1.DeviceMaxDomainLength)
		}
		f.messages(p, "", domain, validation.IsDNS1123Subdomain(domain))
	}
	if id == "" {
		f.required(p, "", "the name must not be empty")
		return
	}
	if len(id) > resourcev1.DeviceMaxIDLength {
		f.tooLong(p, "", resourcev1.DeviceMaxIDLength)
	}
	f.messages(p, "", id, validation.IsCIdentifier(id))
}

func attribute(f *faults, a *resourcev1.DeviceAttribute, p *field.Path) {
	if a.StringValue != nil && len(*a.StringValue) > resourcev1.DeviceAttributeMaxValueLength {
		f.tooLong(p, "string", resourcev1.DeviceAttributeMaxValueLength)
	}
	if a.VersionValue != nil {
		version(f, *a.VersionValue, p.Child("version"))
	}
	for i, v := range a.VersionValues {
		version(f, v, p.Child("versions").Index(i))
	}
}

const semantic = `^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`

func version(f *faults, v string, p *field.Path) {
	if len(v) > resourcev1.DeviceAttributeMaxValueLength {
		f.tooLong(p, "", resourcev1.DeviceAttributeMaxValueLength)
	}
	if ok, err := regexp.MatchString(semantic, v); err != nil || !ok {
		f.invalid(p, "", v, "must be a string compatible with semver.org spec 2.0.0")
	}
}

func deviceTaints(f *faults, list []resourcev1.DeviceTaint, p *field.Path) {
	f.tooMany(p, "", len(list), resourcev1.DeviceTaintsMaxLength)
	for i := range list {
		deviceTaint(f, &list[i], p.Index(i))
	}
}

func deviceTaint(f *faults, t *resourcev1.DeviceTaint, p *field.Path) {
	labelKey(f, t.Key, p.Child("key"))
	f.messages(p, "value", t.Value, validation.IsValidLabelValue(t.Value))
}
