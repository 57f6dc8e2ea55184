package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func invalid(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind(kind).GroupKind(), "", errs)
}

func subjectFaults(user string, groups []string) field.ErrorList {
	if user == "" && len(groups) == 0 {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "user"), user, "at least one of user or group must be specified")}
	}
	return nil
}

// attributeFaults wants exactly one of resource and non-resource attributes, and selectors either raw or parsed.
func attributeFaults(res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	switch {
	case res != nil && non != nil:
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), non, "cannot be specified in combination with resourceAttributes"))
	case res == nil && non == nil:
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), res, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if res == nil {
		return errs
	}
	path := spec.Child("resourceAttributes")
	if s := res.FieldSelector; s != nil {
		errs = append(errs, selectorFaults(path.Child("fieldSelector"), s.RawSelector, len(s.Requirements))...)
	}
	if s := res.LabelSelector; s != nil {
		errs = append(errs, selectorFaults(path.Child("labelSelector"), s.RawSelector, len(s.Requirements))...)
	}
	return errs
}

func selectorFaults(path *field.Path, raw string, requirements int) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"), "when the selector is specified, requirements or rawSelector is required")}
	}
	return nil
}
