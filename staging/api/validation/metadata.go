package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Where an object lives.
const (
	namespaced = true
	cluster    = false
)

type nameRule = apivalidation.ValidateNameFunc

func subdomainName(name string, prefix bool) []string {
	return apivalidation.NameIsDNSSubdomain(name, prefix)
}

func labelName(name string, prefix bool) []string { return apivalidation.NameIsDNSLabel(name, prefix) }

func segmentName(name string, prefix bool) []string {
	if prefix { // generateName appends to it, so only its characters can be at fault
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// metadata checks the metadata of a new object.
func metadata(m *metav1.ObjectMeta, inNamespace bool, rule nameRule) *faults {
	f := &faults{list: apivalidation.ValidateObjectMetaAccessor(m, inNamespace, rule, field.NewPath("metadata"))}
	finalizerNames(f, m.Finalizers, field.NewPath("metadata"))
	return f
}

// finalizerNames: a finalizer without a domain must be one of Kubernetes' own.
func finalizerNames[T ~string](f *faults, list []T, p *field.Path) {
	for i, name := range list {
		switch string(name) {
		case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
			continue
		}
		if !strings.Contains(string(name), "/") {
			f.invalid(p.Child("finalizers").Index(i), "", string(name), "name is neither a standard finalizer name nor is it fully qualified")
		}
	}
}

// metadataUpdate checks changed metadata.
func metadataUpdate(m, old *metav1.ObjectMeta) *faults {
	f := &faults{list: apivalidation.ValidateObjectMetaAccessorUpdate(m, old, field.NewPath("metadata"))}
	finalizerNames(f, m.Finalizers, field.NewPath("metadata"))
	return f
}

// templateMetadata checks the metadata that a template gives: labels, annotations and finalizers.
func templateMetadata(f *faults, m *metav1.ObjectMeta, p *field.Path) {
	f.add(metav1validation.ValidateLabels(m.Labels, p.Child("labels"))...)
	f.add(apivalidation.ValidateAnnotations(m.Annotations, p.Child("annotations"))...)
	f.add(apivalidation.ValidateFinalizers(m.Finalizers, p.Child("finalizers"))...)
}

// selector checks a label selector. strict refuses label values that cannot exist.
func selector(f *faults, s *metav1.LabelSelector, strict bool, p *field.Path) {
	if s == nil {
		return
	}
	f.add(metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: !strict}, p)...)
}

// labelKey checks the name of a label.
func labelKey(f *faults, key string, p *field.Path) {
	f.add(metav1validation.ValidateLabelName(key, p)...)
}

// conditionsOf checks conditions of the common type.
func conditionsOf(f *faults, list []metav1.Condition, p *field.Path) {
	f.add(metav1validation.ValidateConditions(list, p)...)
}
