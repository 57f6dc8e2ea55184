package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func claimCreate(c *corev1.PersistentVolumeClaim) *faults {
	f := metadata(&c.ObjectMeta, namespaced, subdomainName)
	claimSpec(f, &c.Spec, field.NewPath("spec"), true)
	return f
}

func claimUpdate(c, old *corev1.PersistentVolumeClaim) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	strict := old.Spec.Selector == nil || !loose(old.Spec.Selector)
	claimSpec(f, &c.Spec, spec, strict)
	claimSpecUpdate(f, c, old, spec)
	f.immutable(spec, "volumeMode", c.Spec.VolumeMode, old.Spec.VolumeMode)
	return f
}

// claimSpecUpdate lets a claim be bound once, given a class once, and grow while it is bound.
func claimSpecUpdate(f *faults, c, old *corev1.PersistentVolumeClaim, p *field.Path) {
	now, before := c.Spec.DeepCopy(), old.Spec.DeepCopy()
	if before.VolumeName == "" {
		before.VolumeName = now.VolumeName
	}
	if before.StorageClassName == nil && now.StorageClassName != nil {
		// KEP-3333: a default class may be assigned afterwards
		if _, annotated := old.Annotations[corev1.BetaStorageClassAnnotation]; !annotated {
			before.StorageClassName = now.StorageClassName
		}
	}
	before.Resources.Requests = withStorage(before.Resources.Requests, now.Resources.Requests)
	if same(now.DataSourceRef, dataSourceRefOf(before)) {
		before.DataSourceRef = now.DataSourceRef
	}
	claimClassUpdate(f, now, before, p)
	before.VolumeAttributesClassName = now.VolumeAttributesClassName
	if !same(now, before) {
		f.forbidden(p, "", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
		return
	}
	had, has := old.Spec.Resources.Requests[corev1.ResourceStorage], c.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case has.Cmp(had) == 0:
	case old.Status.Phase != corev1.ClaimBound:
		f.forbidden(p, "", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
	case has.Cmp(had) < 0 && !mayShrink(has, old):
		f.forbidden(p.Child("resources").Child("requests"), "storage", "field can not be less than status.capacity")
	}
}

// mayShrink allows taking back a growth that did not happen, down to more than what there is (KEP-1790).
func mayShrink(q resource.Quantity, old *corev1.PersistentVolumeClaim) bool {
	capacity, ok := old.Status.Capacity[corev1.ResourceStorage]
	return ok && q.Cmp(capacity) > 0
}

func withStorage(before, now corev1.ResourceList) corev1.ResourceList {
	q, ok := now[corev1.ResourceStorage]
	if !ok {
		return before
	}
	if _, had := before[corev1.ResourceStorage]; !had {
		return before
	}
	before = before.DeepCopy()
	before[corev1.ResourceStorage] = q
	return before
}

// dataSourceRefOf is what a server derives from a dataSource that stands alone.
func dataSourceRefOf(s *corev1.PersistentVolumeClaimSpec) *corev1.TypedObjectReference {
	if s.DataSource == nil || s.DataSourceRef != nil {
		return s.DataSourceRef
	}
	return &corev1.TypedObjectReference{APIGroup: s.DataSource.APIGroup, Kind: s.DataSource.Kind, Name: s.DataSource.Name}
}

func claimClassUpdate(f *faults, now, before *corev1.PersistentVolumeClaimSpec, p *field.Path) {
	if before.VolumeAttributesClassName == nil || same(now.VolumeAttributesClassName, before.VolumeAttributesClassName) {
		return
	}
	switch {
	case *before.VolumeAttributesClassName == "":
	case now.VolumeAttributesClassName == nil:
		f.forbidden(p, "volumeAttributesClassName", "update to nil from non-nil value is forbidden")
	case *now.VolumeAttributesClassName == "":
		f.forbidden(p, "volumeAttributesClassName", "update to empty string from non-empty value is forbidden")
	}
}

func claimSpec(f *faults, s *corev1.PersistentVolumeClaimSpec, p *field.Path, strict bool) {
	if len(s.AccessModes) == 0 {
		f.required(p, "accessModes", "at least 1 access mode is required")
	} else {
		accessModes(f, s.AccessModes, p.Child("accessModes"))
	}
	selector(f, s.Selector, strict, p.Child("selector"))
	storage, ok := s.Resources.Requests[corev1.ResourceStorage]
	switch {
	case !ok:
		f.required(p.Child("resources").Key(string(corev1.ResourceStorage)), "", "")
	default:
		positiveQuantity(f, storage, p.Child("resources").Child("requests").Key(string(corev1.ResourceStorage)))
	}
	if limit, ok := s.Resources.Limits[corev1.ResourceStorage]; ok && limit.Cmp(storage) < 0 {
		f.invalid(p.Child("resources"), "requests", storage.String(), "must be less than or equal to storage limit of "+limit.String())
	}
	if s.StorageClassName != nil && *s.StorageClassName != "" {
		f.dnsSubdomain(p, "storageClassName", *s.StorageClassName)
	}
	oneOfPtr(f, p, "volumeMode", s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	if s.VolumeAttributesClassName != nil && *s.VolumeAttributesClassName != "" {
		f.dnsSubdomain(p, "volumeAttributesClassName", *s.VolumeAttributesClassName)
	}
	dataSources(f, s, p)
}

func dataSources(f *faults, s *corev1.PersistentVolumeClaimSpec, p *field.Path) {
	if d := s.DataSource; d != nil {
		dataSource(f, d.APIGroup, d.Kind, d.Name, p.Child("dataSource"))
	}
	r := s.DataSourceRef
	if r == nil {
		return
	}
	at := p.Child("dataSourceRef")
	dataSource(f, r.APIGroup, r.Kind, r.Name, at)
	if r.Namespace != nil && *r.Namespace != "" {
		f.dnsLabel(at, "namespace", *r.Namespace)
		if s.DataSource != nil {
			f.invalid(p, "", p.Child("dataSource").String(), "may not be specified when dataSourceRef.namespace is specified")
		}
		return
	}
	if d := s.DataSource; d != nil && (d.Kind != r.Kind || d.Name != r.Name || groupOf(d.APIGroup) != groupOf(r.APIGroup)) {
		f.invalid(p, "", p.Child("dataSource").String(), "must match dataSourceRef")
	}
}

func groupOf(group *string) string {
	if group == nil {
		return ""
	}
	return *group
}

func dataSource(f *faults, group *string, kind, name string, p *field.Path) {
	f.present(p, "name", name)
	f.present(p, "kind", kind)
	switch {
	case groupOf(group) == "" && kind != "PersistentVolumeClaim":
		f.invalid(p, "", kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
	case groupOf(group) != "":
		f.dnsSubdomain(p, "apiGroup", *group)
	}
}

func claimStatus(c, old *corev1.PersistentVolumeClaim) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	status := field.NewPath("status")
	if c.ResourceVersion == "" {
		f.required(nil, "resourceVersion", "")
	}
	if len(c.Spec.AccessModes) == 0 {
		f.required(nil, "Spec.accessModes", "")
	}
	for name, q := range c.Status.Capacity {
		if q.Sign() < 0 {
			f.invalid(status.Child("capacity").Key(string(name)), "", q.String(), notNegative)
		}
	}
	claimResources(f, c, status)
	if m := c.Status.ModifyVolumeStatus; m != nil {
		at := status.Child("modifyVolumeStatus")
		oneOf(f, at, "status", m.Status, corev1.PersistentVolumeClaimModifyVolumeInProgress, corev1.PersistentVolumeClaimModifyVolumeInfeasible, corev1.PersistentVolumeClaimModifyVolumePending)
		if m.Status == corev1.PersistentVolumeClaimModifyVolumeInProgress {
			f.present(at, "targetVolumeAttributesClassName", m.TargetVolumeAttributesClassName)
		}
	}
	return f
}

// claimResources checks how far a growth has come, resource by resource.
func claimResources(f *faults, c *corev1.PersistentVolumeClaim, p *field.Path) {
	for name, q := range c.Status.AllocatedResources {
		at := p.Child("allocatedResources").Key(string(name))
		if name == corev1.ResourceStorage {
			if q.Sign() < 0 {
				f.invalid(at, "", q.String(), notNegative)
			}
			continue
		}
		foreignResource(f, name, at)
	}
	states := []corev1.ClaimResourceStatus{
		corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
		corev1.PersistentVolumeClaimNodeResizePending, corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible,
	}
	for name, state := range c.Status.AllocatedResourceStatuses {
		at := p.Child("allocatedResourceStatuses").Key(string(name))
		switch {
		case name != corev1.ResourceStorage:
			foreignResource(f, name, at)
		case !slices.Contains(states, state):
			f.add(field.NotSupported(at, state, states))
		}
	}
}

func foreignResource(f *faults, name corev1.ResourceName, p *field.Path) {
	if !strings.Contains(string(name), "/") || nativeResource(name) {
		f.add(field.NotSupported(p, name, []corev1.ResourceName{corev1.ResourceStorage, "fully qualified names of third parties"}))
		return
	}
	f.messages(p, "", string(name), validation.IsQualifiedName(string(name)))
}
