package validation

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	declared "pilotis.dev/api/validation/zz_generated/resource"
)

// creating and updating are what declared rules are asked for. A feature that is off by default stays usable for an
// object that uses it already.
func (v *Validator) resourceClaimCreate(c *resourcev1.ResourceClaim) *faults {
	f := metadata(&c.ObjectMeta, namespaced, subdomainName)
	p := field.NewPath("spec")
	f.add(declared.Validate_ResourceClaimSpec(context.Background(), creating(), p, &c.Spec, nil)...)
	v.deviceClaim(f, &c.Spec.Devices, p.Child("devices"))
	return f
}

func (v *Validator) resourceClaimUpdate(c, old *resourcev1.ResourceClaim) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "spec", c.Spec, old.Spec)
	return f
}

func (v *Validator) resourceClaimTemplateCreate(t *resourcev1.ResourceClaimTemplate) *faults {
	f := metadata(&t.ObjectMeta, namespaced, subdomainName)
	p := field.NewPath("spec")
	templateMetadata(f, &t.Spec.ObjectMeta, p.Child("metadata"))
	f.add(declared.Validate_ResourceClaimSpec(context.Background(), creating(), p.Child("spec"), &t.Spec.Spec, nil)...)
	v.deviceClaim(f, &t.Spec.Spec.Devices, p.Child("spec", "devices"))
	return f
}

func (v *Validator) resourceClaimTemplateUpdate(t, old *resourcev1.ResourceClaimTemplate) *faults {
	f := metadataUpdate(&t.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "spec", t.Spec, old.Spec)
	return f
}

func (v *Validator) deviceClassCreate(c *resourcev1.DeviceClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	v.deviceClass(f, c, creating(), nil)
	return f
}

func (v *Validator) deviceClassUpdate(c, old *resourcev1.DeviceClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	v.deviceClass(f, c, updating(), old)
	return f
}

func (v *Validator) deviceClass(f *faults, c *resourcev1.DeviceClass, op operation.Operation, old *resourcev1.DeviceClass) {
	p := field.NewPath("spec")
	var oldSpec *resourcev1.DeviceClassSpec
	if old != nil {
		oldSpec = &old.Spec
	}
	f.add(declared.Validate_DeviceClassSpec(context.Background(), op, p, &c.Spec, oldSpec)...)
	if oldSpec == nil || !same(c.Spec.Selectors, oldSpec.Selectors) {
		v.deviceSelectors(f, c.Spec.Selectors, p.Child("selectors"))
	}
	for i := range c.Spec.Config {
		deviceConfiguration(f, &c.Spec.Config[i].DeviceConfiguration, p.Child("config").Index(i))
	}
}

// deviceClaim checks what tags do not say: names, selection, and what refers to what.
func (v *Validator) deviceClaim(f *faults, c *resourcev1.DeviceClaim, p *field.Path) {
	names := map[string]bool{} // of requests, and "request/alternative"
	for i := range c.Requests {
		v.deviceRequest(f, &c.Requests[i], names, p.Child("requests").Index(i))
	}
	for i := range c.Constraints {
		at := p.Child("constraints").Index(i)
		requestNames(f, c.Constraints[i].Requests, names, at.Child("requests"))
		if c.Constraints[i].MatchAttribute == nil && c.Constraints[i].DistinctAttribute == nil {
			f.required(at, "matchAttribute", "")
		}
	}
	for i := range c.Config {
		at := p.Child("config").Index(i)
		requestNames(f, c.Config[i].Requests, names, at.Child("requests"))
		deviceConfiguration(f, &c.Config[i].DeviceConfiguration, at)
	}
}

func (v *Validator) deviceRequest(f *faults, r *resourcev1.DeviceRequest, names map[string]bool, p *field.Path) {
	f.messages(p, "name", r.Name, validation.IsDNS1123Label(r.Name))
	names[r.Name] = true
	switch {
	case r.Exactly != nil && len(r.FirstAvailable) > 0:
		f.invalid(p, "", r.Name, "exactly one of `exactly` or `firstAvailable` must be specified")
	case r.Exactly == nil && len(r.FirstAvailable) == 0:
		f.required(p, "", "exactly one of `exactly` or `firstAvailable` is required")
	}
	if e := r.Exactly; e != nil {
		at := p.Child("exactly")
		if f.present(at, "deviceClassName", e.DeviceClassName) {
			f.dnsSubdomain(at, "deviceClassName", e.DeviceClassName)
		}
		v.deviceSelectors(f, e.Selectors, at.Child("selectors"))
		allocation(f, e.AllocationMode, e.Count, at)
		deviceTolerations(f, e.Tolerations, at.Child("tolerations"))
	}
	for i := range r.FirstAvailable {
		sub := &r.FirstAvailable[i]
		at := p.Child("firstAvailable").Index(i)
		f.messages(at, "name", sub.Name, validation.IsDNS1123Label(sub.Name))
		names[r.Name+"/"+sub.Name] = true
		v.deviceSelectors(f, sub.Selectors, at.Child("selectors"))
		allocation(f, sub.AllocationMode, sub.Count, at)
		deviceTolerations(f, sub.Tolerations, at.Child("tolerations"))
	}
}

const maxSelector = resourcev1.CELSelectorExpressionMaxLength

func (v *Validator) deviceSelectors(f *faults, list []resourcev1.DeviceSelector, p *field.Path) {
	for i, s := range list {
		at := p.Index(i)
		switch {
		case s.CEL == nil:
			f.required(at, "cel", "")
		case strings.TrimSpace(s.CEL.Expression) == "":
			f.required(at.Child("cel"), "expression", "")
		case len(s.CEL.Expression) > maxSelector:
			f.tooLong(at.Child("cel"), "expression", maxSelector)
		default:
			f.add(v.expressions().DeviceSelector(s.CEL.Expression, at.Child("cel", "expression"))...)
		}
	}
}

func allocation(f *faults, mode resourcev1.DeviceAllocationMode, n int64, p *field.Path) {
	switch mode {
	case resourcev1.DeviceAllocationModeExactCount:
		if n <= 0 {
			f.invalid(p, "count", n, positive)
		}
	case resourcev1.DeviceAllocationModeAll:
		if n != 0 {
			f.invalid(p, "count", n, "must not be specified when allocationMode is 'All'")
		}
	}
}

func deviceTolerations(f *faults, list []resourcev1.DeviceToleration, p *field.Path) {
	f.tooMany(p, "", len(list), resourcev1.DeviceTolerationsMaxLength)
	for i := range list {
		t := &list[i]
		at := p.Index(i)
		switch t.Operator {
		case resourcev1.DeviceTolerationOpExists:
			if t.Value != "" {
				f.invalid(at, "value", t.Value, "must be empty for operator `Exists`")
			}
		case resourcev1.DeviceTolerationOpEqual:
			f.messages(at, "value", t.Value, validation.IsValidLabelValue(t.Value))
			if t.Key == "" {
				f.required(at, "key", "must be set when operator is `Equal`")
			}
		}
		if t.TolerationSeconds != nil && t.Effect != resourcev1.DeviceTaintEffectNoExecute {
			f.invalid(at, "effect", t.Effect, "must be 'NoExecute' when tolerationSeconds is set")
		}
	}
}

func requestNames(f *faults, list []string, known map[string]bool, p *field.Path) {
	for i, name := range list {
		if !known[name] {
			f.invalid(p.Index(i), "", name, "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'")
		}
	}
}

func deviceConfiguration(f *faults, c *resourcev1.DeviceConfiguration, p *field.Path) {
	if c.Opaque == nil {
		f.required(p, "opaque", "")
		return
	}
	opaque(f, c.Opaque.Parameters, resourcev1.OpaqueParametersMaxLength, p.Child("opaque"), "parameters")
}

// opaque accepts a JSON object of limited size.
func opaque(f *faults, raw runtime.RawExtension, limit int, p *field.Path, name string) {
	var into any
	switch {
	case len(raw.Raw) == 0:
		f.required(p, name, "")
	case len(raw.Raw) > limit:
		f.tooLong(p, name, limit)
	case json.Unmarshal(raw.Raw, &into) != nil:
		f.invalid(p, name, "<value omitted>", "error parsing data as JSON")
	case !bytes.HasPrefix(bytes.TrimSpace(raw.Raw), []byte("{")):
		f.invalid(p, name, "<value omitted>", "must be a valid JSON object")
	}
}

func resourceClaimStatus(c, old *resourcev1.ResourceClaim) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	f.add(declared.Validate_ResourceClaimStatus(context.Background(), updating(), p, &c.Status, &old.Status)...)
	for i, r := range c.Status.ReservedFor {
		at := p.Child("reservedFor").Index(i)
		if r.APIGroup != "" {
			f.dnsSubdomain(at, "apiGroup", r.APIGroup)
		}
		f.present(at, "resource", r.Resource)
		f.present(at, "name", r.Name)
		f.present(at, "uid", string(r.UID))
	}
	switch a := c.Status.Allocation; {
	case a == nil && len(c.Status.ReservedFor) > 0:
		f.forbidden(p, "reservedFor", "may not be specified when `allocated` is not set")
	case a != nil && c.DeletionTimestamp != nil && old.Status.Allocation == nil:
		f.forbidden(p, "allocation", "new allocation may not be added to an object being deleted")
	case c.DeletionTimestamp != nil && slices.ContainsFunc(c.Status.ReservedFor, func(r resourcev1.ResourceClaimConsumerReference) bool {
		return !slices.Contains(old.Status.ReservedFor, r)
	}):
		f.forbidden(p, "reservedFor", "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set")
	}
	if c.Status.Allocation != nil && old.Status.Allocation == nil {
		allocated(f, c, p.Child("allocation"))
	}
	allocatedDevices(f, c, p.Child("devices"))
	return f
}

func allocated(f *faults, c *resourcev1.ResourceClaim, p *field.Path) {
	known := map[string]bool{}
	for i := range c.Spec.Devices.Requests {
		r := &c.Spec.Devices.Requests[i]
		known[r.Name] = true
		for j := range r.FirstAvailable {
			known[r.Name+"/"+r.FirstAvailable[j].Name] = true
		}
	}
	for i, r := range c.Status.Allocation.Devices.Results {
		at := p.Child("devices", "results").Index(i)
		if !known[r.Request] {
			f.invalid(at, "request", r.Request, "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'")
		}
		f.messages(at, "device", r.Device, validation.IsDNS1123Label(r.Device))
	}
	if c.Status.Allocation.NodeSelector != nil {
		nodeSelector(f, c.Status.Allocation.NodeSelector, false, p.Child("nodeSelector"))
	}
}

func allocatedDevices(f *faults, c *resourcev1.ResourceClaim, p *field.Path) {
	for i := range c.Status.Devices {
		d := &c.Status.Devices[i]
		at := p.Index(i)
		known := c.Status.Allocation != nil && slices.ContainsFunc(c.Status.Allocation.Devices.Results, func(r resourcev1.DeviceRequestAllocationResult) bool {
			return r.Driver == d.Driver && r.Pool == d.Pool && r.Device == d.Device
		})
		if !known {
			f.invalid(at, "", d.Driver+"/"+d.Pool+"/"+d.Device, "must be an allocated device in the claim")
		}
		f.tooMany(at, "conditions", len(d.Conditions), resourcev1.AllocatedDeviceStatusMaxConditions)
		conditionsOf(f, d.Conditions, at.Child("conditions"))
		if d.Data != nil && len(d.Data.Raw) > 0 {
			opaque(f, *d.Data, resourcev1.AllocatedDeviceStatusDataMaxLength, at, "data")
		}
		if d.NetworkData != nil {
			for j, ip := range d.NetworkData.IPs {
				f.add(validation.IsValidInterfaceAddress(at.Child("networkData", "ips").Index(j), ip)...)
			}
		}
	}
}
