package validation

import (
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podGroupCreate(g *schedulingv1alpha3.PodGroup) *faults {
	f := metadata(&g.ObjectMeta, namespaced, subdomainName)
	return declares(f, "spec", schedulingv1alpha3.Validate_PodGroupSpec, &g.Spec, nil)
}

func podGroupUpdate(g, old *schedulingv1alpha3.PodGroup) *faults {
	f := metadataUpdate(&g.ObjectMeta, &old.ObjectMeta)
	return declares(f, "spec", schedulingv1alpha3.Validate_PodGroupSpec, &g.Spec, &old.Spec)
}

func podGroupStatus(g, old *schedulingv1alpha3.PodGroup) *faults {
	f := metadataUpdate(&g.ObjectMeta, &old.ObjectMeta)
	claims := map[string]bool{}
	for _, c := range g.Spec.ResourceClaims {
		claims[c.Name] = true
	}
	for i, c := range g.Status.ResourceClaimStatuses {
		if !claims[c.Name] {
			f.invalid(field.NewPath("status", "resourceClaimStatuses").Index(i), "name", c.Name, "must match the name of an entry in `spec.resourceClaims`")
		}
	}
	return declares(f, "status", schedulingv1alpha3.Validate_PodGroupStatus, &g.Status, &old.Status)
}

func compositePodGroupCreate(g *schedulingv1alpha3.CompositePodGroup) *faults {
	f := metadata(&g.ObjectMeta, namespaced, subdomainName)
	return declares(f, "spec", schedulingv1alpha3.Validate_CompositePodGroupSpec, &g.Spec, nil)
}

func compositePodGroupUpdate(g, old *schedulingv1alpha3.CompositePodGroup) *faults {
	f := metadataUpdate(&g.ObjectMeta, &old.ObjectMeta)
	return declares(f, "spec", schedulingv1alpha3.Validate_CompositePodGroupSpec, &g.Spec, &old.Spec)
}

func compositePodGroupStatus(g, old *schedulingv1alpha3.CompositePodGroup) *faults {
	f := metadataUpdate(&g.ObjectMeta, &old.ObjectMeta)
	return declares(f, "status", schedulingv1alpha3.Validate_CompositePodGroupStatus, &g.Status, &old.Status)
}
