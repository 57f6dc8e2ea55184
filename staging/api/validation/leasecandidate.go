package validation

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilversion "k8s.io/apimachinery/pkg/util/version"
)

func leaseCandidateCreate(c *coordinationv1beta1.LeaseCandidate) *faults {
	f := metadata(&c.ObjectMeta, namespaced, subdomainName)
	leaseCandidateSpec(f, &c.Spec)
	return f
}

func leaseCandidateUpdate(c, old *coordinationv1beta1.LeaseCandidate) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	leaseCandidateSpec(f, &c.Spec)
	f.immutable(field.NewPath("spec"), "leaseName", c.Spec.LeaseName, old.Spec.LeaseName)
	return f
}

func leaseCandidateSpec(f *faults, s *coordinationv1beta1.LeaseCandidateSpec) {
	p := field.NewPath("spec")
	if f.present(p, "leaseName", s.LeaseName) {
		f.messages(p, "leaseName", s.LeaseName, subdomainName(s.LeaseName, false))
	}
	var binary, emulated *utilversion.Version
	if f.present(p, "binaryVersion", s.BinaryVersion) {
		binary = semanticVersion(f, p, "binaryVersion", s.BinaryVersion)
	}
	if s.EmulationVersion != "" {
		emulated = semanticVersion(f, p, "emulationVersion", s.EmulationVersion)
	} else if s.Strategy == coordinationv1.OldestEmulationVersion {
		f.required(p, "emulationVersion", "must be specified when `strategy` is 'OldestEmulationVersion'")
	}
	if binary != nil && emulated != nil && binary.LessThan(emulated) {
		f.invalid(p, "emulationVersion", s.EmulationVersion, "must be less than or equal to `binaryVersion`")
	}
	if f.present(p, "strategy", string(s.Strategy)) {
		leaseStrategy(f, p, s.Strategy)
	}
}

// semanticVersion reads a version without the letter v.
func semanticVersion(f *faults, p *field.Path, name, value string) *utilversion.Version {
	v, err := utilversion.ParseSemantic(value)
	if err != nil || strings.HasPrefix(strings.TrimSpace(value), "v") {
		f.invalid(p, name, value, "must be a semantic version, such as 1.37.0")
		return nil
	}
	return v
}
