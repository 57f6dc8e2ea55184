package validation

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func leaseCreate(l *coordinationv1.Lease) *faults {
	f := metadata(&l.ObjectMeta, namespaced, subdomainName)
	leaseSpec(f, &l.Spec)
	return f
}

func leaseUpdate(l, old *coordinationv1.Lease) *faults {
	f := metadataUpdate(&l.ObjectMeta, &old.ObjectMeta)
	leaseSpec(f, &l.Spec)
	return f
}

func leaseSpec(f *faults, s *coordinationv1.LeaseSpec) {
	p := field.NewPath("spec")
	if d := s.LeaseDurationSeconds; d != nil && *d <= 0 {
		f.invalid(p, "leaseDurationSeconds", *d, "must be greater than 0")
	}
	if n := s.LeaseTransitions; n != nil {
		f.notNegative(p, "leaseTransitions", int64(*n))
	}
	if s.Strategy != nil {
		leaseStrategy(f, p, *s.Strategy)
	}
	if s.PreferredHolder != nil && *s.PreferredHolder != "" && (s.Strategy == nil || *s.Strategy == "") {
		f.forbidden(p, "preferredHolder", "may only be specified if `strategy` is defined")
	}
}

// leaseStrategy is one of Kubernetes or, with a domain, of somebody else.
func leaseStrategy(f *faults, p *field.Path, s coordinationv1.CoordinatedLeaseStrategy) {
	if strings.Contains(string(s), "/") {
		f.messages(p, "strategy", string(s), validation.IsQualifiedName(string(s)))
		return
	}
	oneOf(f, p, "strategy", s, coordinationv1.OldestEmulationVersion)
}
