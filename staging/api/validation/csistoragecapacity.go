package validation

import (
	storagev1 "k8s.io/api/storage/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func storageCapacityCreate(c *storagev1.CSIStorageCapacity) *faults {
	f := metadata(&c.ObjectMeta, namespaced, subdomainName)
	f.messages(nil, "storageClassName", c.StorageClassName, validation.IsDNS1123Subdomain(c.StorageClassName))
	if c.NodeTopology != nil {
		f.add(metav1validation.ValidateLabelSelector(c.NodeTopology, metav1validation.LabelSelectorValidationOptions{}, field.NewPath("nodeTopology"))...)
	}
	if c.Capacity != nil && c.Capacity.Sign() < 0 {
		f.invalid(nil, "capacity", c.Capacity.String(), notNegative)
	}
	if c.MaximumVolumeSize != nil && c.MaximumVolumeSize.Sign() < 0 {
		f.invalid(nil, "maximumVolumeSize", c.MaximumVolumeSize.String(), notNegative)
	}
	return f
}

func storageCapacityUpdate(c, old *storagev1.CSIStorageCapacity) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "nodeTopology", c.NodeTopology, old.NodeTopology)
	f.immutable(nil, "storageClassName", c.StorageClassName, old.StorageClassName)
	return f
}
