package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func configMapCreate(c *corev1.ConfigMap) *faults {
	f := metadata(&c.ObjectMeta, namespaced, subdomainName)
	configMapContent(f, c)
	return f
}

func configMapUpdate(c, old *corev1.ConfigMap) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if old.Immutable != nil && *old.Immutable {
		if c.Immutable == nil || !*c.Immutable {
			f.forbidden(nil, "immutable", frozen)
		}
		if !same(c.Data, old.Data) {
			f.forbidden(nil, "data", frozen)
		}
		if !same(c.BinaryData, old.BinaryData) {
			f.forbidden(nil, "binaryData", frozen)
		}
	}
	configMapContent(f, c)
	return f
}

func configMapContent(f *faults, c *corev1.ConfigMap) {
	total := 0
	for key, v := range c.Data {
		for _, m := range validation.IsConfigMapKey(key) {
			f.invalid(field.NewPath("data").Key(key), "", key, m)
		}
		if _, both := c.BinaryData[key]; both {
			f.invalid(field.NewPath("data").Key(key), "", key, "duplicate of key present in binaryData")
		}
		total += len(v)
	}
	for key, v := range c.BinaryData {
		for _, m := range validation.IsConfigMapKey(key) {
			f.invalid(field.NewPath("binaryData").Key(key), "", key, m)
		}
		total += len(v)
	}
	if total > corev1.MaxSecretSize {
		f.tooLong(field.NewPath(""), "", corev1.MaxSecretSize)
	}
}
