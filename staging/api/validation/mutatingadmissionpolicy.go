package validation

import (
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func mutatingBindingCreate(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) *faults {
	f := metadata(&b.ObjectMeta, cluster, subdomainName)
	bindingBasics(f, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources, field.NewPath("spec"))
	return f
}

func mutatingBindingUpdate(b, old *admissionregistrationv1.MutatingAdmissionPolicyBinding) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	bindingBasics(f, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources, field.NewPath("spec"))
	return f
}

func (v *Validator) mutatingPolicyCreate(p *admissionregistrationv1.MutatingAdmissionPolicy) *faults {
	f := metadata(&p.ObjectMeta, cluster, subdomainName)
	mutatingPolicySpec(f, &p.Spec)
	f.add(v.expressions().MutatingPolicy(&p.Spec, field.NewPath("spec"))...)
	return f
}

func (v *Validator) mutatingPolicyUpdate(p, old *admissionregistrationv1.MutatingAdmissionPolicy) *faults {
	f := metadataUpdate(&p.ObjectMeta, &old.ObjectMeta)
	mutatingPolicySpec(f, &p.Spec)
	if !same(&p.Spec, &old.Spec) {
		f.add(v.expressions().MutatingPolicy(&p.Spec, field.NewPath("spec"))...)
	}
	return f
}

func mutatingPolicySpec(f *faults, s *admissionregistrationv1.MutatingAdmissionPolicySpec) {
	p := field.NewPath("spec")
	policyBasics(f, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables, p)
	requireOneOf(f, p, "reinvocationPolicy", s.ReinvocationPolicy, admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
	if len(s.Mutations) == 0 {
		f.required(p, "mutations", "mutations must contain at least one item")
	}
	for i := range s.Mutations {
		m := &s.Mutations[i]
		at := p.Child("mutations").Index(i)
		switch m.PatchType {
		case admissionregistrationv1.PatchTypeApplyConfiguration:
			mutation(f, m.ApplyConfiguration != nil, m.JSONPatch != nil, "applyConfiguration", "jsonPatch", at)
			if m.ApplyConfiguration != nil && strings.TrimSpace(m.ApplyConfiguration.Expression) == "" {
				f.required(at.Child("applyConfiguration"), "expression", "")
			}
		case admissionregistrationv1.PatchTypeJSONPatch:
			mutation(f, m.JSONPatch != nil, m.ApplyConfiguration != nil, "jsonPatch", "applyConfiguration", at)
			if m.JSONPatch != nil && strings.TrimSpace(m.JSONPatch.Expression) == "" {
				f.required(at.Child("jsonPatch"), "expression", "")
			}
		default:
			requireOneOf(f, at, "patchType", m.PatchType, admissionregistrationv1.PatchTypeApplyConfiguration, admissionregistrationv1.PatchTypeJSONPatch)
		}
	}
}

func mutation(f *faults, has, hasOther bool, name, other string, p *field.Path) {
	if !has {
		f.required(p, name, "must be specified when patchType is "+strings.ToUpper(name[:1])+name[1:])
	}
	if hasOther {
		f.forbidden(p, other, "must not be specified when patchType is "+strings.ToUpper(name[:1])+name[1:])
	}
}
