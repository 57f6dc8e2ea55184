package validation

import (
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

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
