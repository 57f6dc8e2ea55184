package validation

import (
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What priorities mean (KEP-564 and API reference, PriorityClass).
const (
	systemPrefix        = "system-"
	maxUserPriority     = 1000000000
	systemClusterClass  = "system-cluster-critical"
	systemNodeClass     = "system-node-critical"
	systemClusterWeight = 2 * maxUserPriority
	systemNodeWeight    = systemClusterWeight + 1000
)

func priorityClassCreate(c *schedulingv1.PriorityClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	if strings.HasPrefix(c.Name, systemPrefix) {
		known := c.Name == systemClusterClass && c.Value == systemClusterWeight || c.Name == systemNodeClass && c.Value == systemNodeWeight
		if !known || c.GlobalDefault {
			f.forbidden(field.NewPath("metadata"), "name", fmt.Sprintf("priority class names with '%s' prefix are reserved for system use only. error: %s is not a known system priority class", systemPrefix, c.Name))
		}
	} else if c.Value > maxUserPriority {
		f.forbidden(nil, "value", fmt.Sprintf("maximum allowed value of a user defined priority is %d", maxUserPriority))
	}
	preemption(f, c)
	return f
}

func priorityClassUpdate(c, old *schedulingv1.PriorityClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if c.Value != old.Value {
		f.forbidden(nil, "Value", "may not be changed in an update.")
	}
	f.immutable(nil, "preemptionPolicy", c.PreemptionPolicy, old.PreemptionPolicy)
	return f
}

func preemption(f *faults, c *schedulingv1.PriorityClass) {
	if c.PreemptionPolicy != nil {
		oneOf(f, nil, "preemptionPolicy", *c.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
}

func runtimeClassCreate(c *nodev1.RuntimeClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	f.dnsLabel(nil, "handler", c.Handler)
	if c.Overhead != nil {
		resourceLists(f, nil, c.Overhead.PodFixed, field.NewPath("overhead"), "", "podFixed")
	}
	if s := c.Scheduling; s != nil {
		p := field.NewPath("scheduling")
		f.add(metav1validation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
		tolerations(f, s.Tolerations, p.Child("tolerations"))
		for i := range s.Tolerations {
			for j := range i {
				if same(s.Tolerations[i], s.Tolerations[j]) {
					f.duplicate(p.Child("tolerations").Index(i), "", s.Tolerations[i])
				}
			}
		}
	}
	return f
}

func runtimeClassUpdate(c, old *nodev1.RuntimeClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "handler", c.Handler, old.Handler)
	return f
}

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
	if s.HolderIdentity != nil && *s.HolderIdentity == "" {
		f.invalid(p, "holderIdentity", *s.HolderIdentity, "must not be empty")
	}
	if d := s.LeaseDurationSeconds; d != nil && *d <= 0 {
		f.invalid(p, "leaseDurationSeconds", *d, "must be greater than 0")
	}
	if n := s.LeaseTransitions; n != nil {
		f.notNegative(p, "leaseTransitions", int64(*n))
	}
	if s.Strategy != nil {
		name := string(*s.Strategy)
		if strings.Contains(name, "/") {
			f.messages(p, "strategy", name, validation.IsQualifiedName(name))
		} else {
			oneOf(f, p, "strategy", *s.Strategy, coordinationv1.OldestEmulationVersion)
		}
	}
	if s.PreferredHolder != nil && *s.PreferredHolder != "" && (s.Strategy == nil || *s.Strategy == "") {
		f.forbidden(p, "preferredHolder", "may only be specified if `strategy` is defined")
	}
}

func migrationCreate(m *storagemigrationv1.StorageVersionMigration) *faults {
	f := metadata(&m.ObjectMeta, cluster, subdomainName)
	p := field.NewPath("spec", "resource")
	f.present(p, "resource", m.Spec.Resource.Resource)
	if m.Spec.Resource.Resource != "" {
		f.messages(p, "resource", m.Spec.Resource.Resource, validation.IsDNS1123Subdomain(m.Spec.Resource.Resource))
	}
	if m.Spec.Resource.Group != "" {
		f.dnsSubdomain(p, "group", m.Spec.Resource.Group)
	}
	return f
}

func migrationUpdate(m, old *storagemigrationv1.StorageVersionMigration) *faults {
	f := metadataUpdate(&m.ObjectMeta, &old.ObjectMeta)
	f.immutable(field.NewPath("spec"), "resource", m.Spec.Resource, old.Spec.Resource)
	return f
}

func migrationStatus(m, old *storagemigrationv1.StorageVersionMigration) *faults {
	f := metadataUpdate(&m.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	conditionsOf(f, m.Status.Conditions, p.Child("conditions"))
	if old.Status.ResourceVersion != "" {
		f.immutable(p, "resourceVersion", m.Status.ResourceVersion, old.Status.ResourceVersion)
	}
	return f
}
