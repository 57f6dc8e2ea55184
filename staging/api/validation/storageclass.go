package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Sizes of the parameters of a class.
const (
	maxParameters      = 512
	maxParameterLength = 256 * 1024
)

func storageClassCreate(c *storagev1.StorageClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	if f.present(nil, "provisioner", c.Provisioner) {
		f.messages(nil, "provisioner", c.Provisioner, validation.IsQualifiedName(strings.ToLower(c.Provisioner)))
	}
	parameters(f, c.Parameters, true)
	if c.ReclaimPolicy != nil && *c.ReclaimPolicy != "" {
		oneOf(f, nil, "reclaimPolicy", *c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)
	}
	bindingMode(f, c)
	topologies(f, c.AllowedTopologies, field.NewPath("allowedTopologies"))
	return f
}

func storageClassUpdate(c, old *storagev1.StorageClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	const text = "updates to %s are forbidden."
	if !same(c.Parameters, old.Parameters) {
		f.forbidden(nil, "parameters", fmt.Sprintf(text, "parameters"))
	}
	if c.Provisioner != old.Provisioner {
		f.forbidden(nil, "provisioner", fmt.Sprintf(text, "provisioner"))
	}
	if !same(c.ReclaimPolicy, old.ReclaimPolicy) {
		f.forbidden(nil, "reclaimPolicy", fmt.Sprintf(text, "reclaimPolicy"))
	}
	f.immutable(nil, "volumeBindingMode", c.VolumeBindingMode, old.VolumeBindingMode)
	f.immutable(nil, "allowedTopologies", c.AllowedTopologies, old.AllowedTopologies)
	return f
}

func bindingMode(f *faults, c *storagev1.StorageClass) {
	if c.VolumeBindingMode == nil {
		f.required(nil, "volumeBindingMode", "")
		return
	}
	oneOf(f, nil, "volumeBindingMode", *c.VolumeBindingMode, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)
}

func parameters(f *faults, m map[string]string, mayBeEmpty bool) {
	p := field.NewPath("parameters")
	if len(m) == 0 && !mayBeEmpty {
		f.required(p, "", "must contain at least one key/value pair")
		return
	}
	if len(m) > maxParameters {
		f.add(field.TooLong(field.NewPath("Provisioner Parameters Length"), "", maxParameters))
		return
	}
	total := 0
	for k, v := range m {
		if k == "" {
			f.invalid(p, "", k, "field can not be empty.")
		}
		total += len(k) + len(v)
	}
	if total > maxParameterLength {
		f.add(field.TooLong(p, "", maxParameterLength))
	}
}

func topologies(f *faults, terms []corev1.TopologySelectorTerm, p *field.Path) {
	for i, t := range terms {
		at := p.Index(i).Child("matchLabelExpressions")
		var keys seen[string]
		for j, r := range t.MatchLabelExpressions {
			here := at.Index(j)
			labelKey(f, r.Key, here.Child("key"))
			if keys.again(r.Key) {
				f.duplicate(here, "key", r.Key)
			}
			if len(r.Values) == 0 {
				f.required(here, "values", "")
			}
			var values seen[string]
			for k, v := range r.Values {
				if values.again(v) {
					f.duplicate(here.Child("values").Index(k), "", v)
				}
			}
		}
		for j := range i {
			if same(terms[j], t) {
				f.duplicate(p.Index(i).Child("matchLabelExpressions"), "", "")
			}
		}
	}
}
