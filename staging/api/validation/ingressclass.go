package validation

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxController = 250

func ingressClassCreate(c *networkingv1.IngressClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	ingressClassSpec(f, &c.Spec)
	return f
}

func ingressClassUpdate(c, old *networkingv1.IngressClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.immutable(field.NewPath("spec"), "controller", c.Spec.Controller, old.Spec.Controller)
	ingressClassSpec(f, &c.Spec)
	return f
}

func ingressClassSpec(f *faults, s *networkingv1.IngressClassSpec) {
	p := field.NewPath("spec")
	if len(s.Controller) > maxController {
		f.tooLong(p, "controller", maxController)
	}
	f.add(validation.IsDomainPrefixedPath(p.Child("controller"), s.Controller)...)
	r := s.Parameters
	if r == nil {
		return
	}
	p = p.Child("parameters")
	typedReference(f, groupOf(r.APIGroup), r.Kind, r.Name, p)
	if r.Scope == nil {
		f.required(p, "scope", "")
		return
	}
	const inNamespace, inCluster = networkingv1.IngressClassParametersReferenceScopeNamespace, networkingv1.IngressClassParametersReferenceScopeCluster
	oneOf(f, p, "scope", *r.Scope, inCluster, inNamespace)
	switch *r.Scope {
	case inNamespace:
		if r.Namespace == nil || *r.Namespace == "" {
			f.required(p, "namespace", "`parameters.scope` is set to 'Namespace'")
		} else {
			f.dnsLabel(p, "namespace", *r.Namespace)
		}
	case inCluster:
		if r.Namespace != nil && *r.Namespace != "" {
			f.forbidden(p, "namespace", "`parameters.scope` is set to 'Cluster'")
		}
	}
}
