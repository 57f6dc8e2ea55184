package validation

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func tokenReview(r *authenticationv1.TokenReview) *faults {
	f := &faults{}
	if r.Spec.Token == "" {
		f.required(field.NewPath("spec"), "token", "token is required")
	}
	return f
}

func subjectAccessReview(r *authorizationv1.SubjectAccessReview) *faults {
	f := &faults{}
	accessSpec(f, &r.Spec)
	onlyManagedFields(f, &r.ObjectMeta, metav1.ObjectMeta{}, "must be empty")
	return f
}

func selfSubjectAccessReview(r *authorizationv1.SelfSubjectAccessReview) *faults {
	f := &faults{}
	attributes(f, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	onlyManagedFields(f, &r.ObjectMeta, metav1.ObjectMeta{}, "must be empty")
	return f
}

func localSubjectAccessReview(r *authorizationv1.LocalSubjectAccessReview) *faults {
	f := &faults{}
	accessSpec(f, &r.Spec)
	onlyManagedFields(f, &r.ObjectMeta, metav1.ObjectMeta{Namespace: r.Namespace}, "must be empty except for namespace")
	p := field.NewPath("spec")
	if a := r.Spec.ResourceAttributes; a != nil && a.Namespace != r.Namespace {
		f.invalid(p.Child("resourceAttributes"), "namespace", a.Namespace, "must match metadata.namespace")
	}
	if r.Spec.NonResourceAttributes != nil {
		f.invalid(p, "nonResourceAttributes", r.Spec.NonResourceAttributes, "disallowed on this kind of request")
	}
	return f
}

func onlyManagedFields(f *faults, m *metav1.ObjectMeta, want metav1.ObjectMeta, text string) {
	bare := *m
	bare.ManagedFields = nil
	if !same(bare, want) {
		f.invalid(nil, "metadata", *m, text)
	}
}

func accessSpec(f *faults, s *authorizationv1.SubjectAccessReviewSpec) {
	attributes(f, s.ResourceAttributes, s.NonResourceAttributes)
	if s.User == "" && len(s.Groups) == 0 {
		f.invalid(field.NewPath("spec"), "user", s.User, "at least one of user or group must be specified")
	}
}

func attributes(f *faults, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) {
	p := field.NewPath("spec")
	switch {
	case r != nil && n != nil:
		f.invalid(p, "nonResourceAttributes", n, "cannot be specified in combination with resourceAttributes")
	case r == nil && n == nil:
		f.invalid(p, "resourceAttributes", n, "exactly one of nonResourceAttributes or resourceAttributes must be specified")
	}
	if r == nil {
		return
	}
	at := p.Child("resourceAttributes")
	if s := r.FieldSelector; s != nil {
		here := at.Child("fieldSelector")
		selectorForm(f, s.RawSelector, len(s.Requirements), here)
		for i := range s.Requirements {
			f.add(metav1validation.ValidateFieldSelectorRequirement(s.Requirements[i], metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, here.Child("requirements").Index(i))...)
		}
	}
	if s := r.LabelSelector; s != nil {
		here := at.Child("labelSelector")
		selectorForm(f, s.RawSelector, len(s.Requirements), here)
		for i := range s.Requirements {
			f.add(metav1validation.ValidateLabelSelectorRequirement(s.Requirements[i], metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, here.Child("requirements").Index(i))...)
		}
	}
}

func selectorForm(f *faults, raw string, requirements int, p *field.Path) {
	switch {
	case raw != "" && requirements > 0:
		f.invalid(p, "rawSelector", raw, "may not specified at the same time as requirements")
	case raw == "" && requirements == 0:
		f.required(p, "requirements", "when "+p.String()+" is specified, requirements or rawSelector is required")
	}
}
