package validation

import (
	"fmt"
	"slices"
	"strings"

	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func storageVersionCreate(v *apiserverinternalv1alpha1.StorageVersion) *faults {
	return metadata(&v.ObjectMeta, cluster, storageVersionName)
}

func storageVersionUpdate(v, old *apiserverinternalv1alpha1.StorageVersion) *faults {
	return metadataUpdate(&v.ObjectMeta, &old.ObjectMeta)
}

// storageVersionName is <group>.<resource>, such as apps.deployments.
func storageVersionName(name string, prefix bool) []string {
	i := strings.LastIndex(name, ".")
	if i < 0 {
		return []string{"name must be in the form of <group>.<resource>"}
	}
	out := subdomainName(name[:i], false)
	resource := name[i+1:]
	if prefix {
		resource = strings.TrimRight(resource, "-")
	}
	return append(out, validation.IsDNS1035Label(resource)...)
}

// storageVersionStatus: servers read what they write and serve, and the common version is there just when they agree.
func storageVersionStatus(v, old *apiserverinternalv1alpha1.StorageVersion) *faults {
	f := metadataUpdate(&v.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	s := &v.Status
	var ids seen[string]
	for i := range s.StorageVersions {
		at := p.Child("storageVersions").Index(i)
		if ids.again(s.StorageVersions[i].APIServerID) {
			f.duplicate(at, "apiServerID", s.StorageVersions[i].APIServerID)
		}
		serverVersion(f, &s.StorageVersions[i], at)
	}
	common := ""
	if len(s.StorageVersions) > 0 {
		common = s.StorageVersions[0].EncodingVersion
	}
	agree := common != "" && !slices.ContainsFunc(s.StorageVersions, func(x apiserverinternalv1alpha1.ServerStorageVersion) bool { return x.EncodingVersion != common })
	switch got := s.CommonEncodingVersion; {
	case !agree && got != nil:
		f.invalid(p, "commonEncodingVersion", *got, "should be nil if servers do not agree on the same encoding version, or if there is no server reporting the supported versions yet")
	case agree && got == nil:
		f.invalid(p, "commonEncodingVersion", nil, "the common encoding version is "+common)
	case agree && *got != common:
		f.invalid(p, "commonEncodingVersion", *got, "the actual common encoding version is "+common)
	}
	var types seen[string]
	for i, c := range s.Conditions {
		at := p.Child("conditions").Index(i)
		if types.again(string(c.Type)) {
			f.duplicate(at, "type", c.Type)
		}
		f.messages(at, "type", string(c.Type), validation.IsQualifiedName(string(c.Type)))
		requireOneOf(f, at, "status", c.Status, apiserverinternalv1alpha1.ConditionTrue, apiserverinternalv1alpha1.ConditionFalse, apiserverinternalv1alpha1.ConditionUnknown)
		f.present(at, "reason", c.Reason)
		f.present(at, "message", c.Message)
	}
	return f
}

func serverVersion(f *faults, s *apiserverinternalv1alpha1.ServerStorageVersion, p *field.Path) {
	f.messages(p, "apiServerID", s.APIServerID, subdomainName(s.APIServerID, false))
	versionOfAPI(f, p, "encodingVersion", s.EncodingVersion)
	for i, v := range s.DecodableVersions {
		versionOfAPI(f, p.Child("decodableVersions").Index(i), "", v)
	}
	if !slices.Contains(s.DecodableVersions, s.EncodingVersion) {
		f.invalid(p, "decodableVersions", s.DecodableVersions, "decodableVersions must include encodingVersion "+s.EncodingVersion)
	}
	for i, v := range s.ServedVersions {
		versionOfAPI(f, p.Child("servedVersions").Index(i), "", v)
		if !slices.Contains(s.DecodableVersions, v) {
			f.invalid(p.Child("servedVersions").Index(i), "", v, fmt.Sprintf("individual served version : %s must be included in decodableVersions : %s", v, s.DecodableVersions))
		}
	}
}

// versionOfAPI is <group>/<version>, or a version of the core group.
func versionOfAPI(f *faults, p *field.Path, name, value string) {
	group, v, grouped := strings.Cut(value, "/")
	if !grouped {
		group, v = "", value
	}
	if grouped {
		f.messages(p, name, value, subdomainName(group, false))
	}
	f.messages(p, name, value, validation.IsDNS1035Label(v))
}
