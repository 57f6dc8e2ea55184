package validation

import (
	storagev1 "k8s.io/api/storage/v1"
)

func attributesClassCreate(c *storagev1.VolumeAttributesClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	driverName(f, c.DriverName, nil, "driverName")
	parameters(f, c.Parameters, false)
	return f
}

func attributesClassUpdate(c, old *storagev1.VolumeAttributesClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if c.DriverName != old.DriverName {
		f.forbidden(nil, "driverName", "updates to driverName are forbidden.")
	}
	if !same(c.Parameters, old.Parameters) {
		f.forbidden(nil, "parameters", "updates to parameters are forbidden.")
	}
	return f
}
