package validation

import (
	nodev1 "k8s.io/api/node/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func runtimeClassCreate(c *nodev1.RuntimeClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	f.dnsLabel(nil, "handler", c.Handler)
	if c.Overhead != nil {
		resourceLists(f, nil, c.Overhead.PodFixed, field.NewPath("overhead"), "", "podFixed")
	}
	if s := c.Scheduling; s != nil {
		p := field.NewPath("scheduling")
		f.add(metav1validation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
		tolerations(f, s.Tolerations, p.Child("tolerations"))
		for i := range s.Tolerations {
			for j := range i {
				if same(s.Tolerations[i], s.Tolerations[j]) {
					f.duplicate(p.Child("tolerations").Index(i), "", s.Tolerations[i])
				}
			}
		}
	}
	return f
}

func runtimeClassUpdate(c, old *nodev1.RuntimeClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "handler", c.Handler, old.Handler)
	return f
}
