package validation

import (
	"fmt"

	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func workloadCreate(w *schedulingv1alpha3.Workload) *faults {
	f := metadata(&w.ObjectMeta, namespaced, subdomainName)
	declares(f, "spec", schedulingv1alpha3.Validate_WorkloadSpec, &w.Spec, nil)
	templates(f, &w.Spec)
	return f
}

func workloadUpdate(w, old *schedulingv1alpha3.Workload) *faults {
	f := metadataUpdate(&w.ObjectMeta, &old.ObjectMeta)
	return declares(f, "spec", schedulingv1alpha3.Validate_WorkloadSpec, &w.Spec, &old.Spec)
}

// templates checks the tree of templates as a whole: a name is there once, a branch has an end, and the tree is no higher
// than schedulers climb.
func templates(f *faults, s *schedulingv1alpha3.WorkloadSpec) {
	t := templateTree{f: f}
	p := field.NewPath("spec")
	t.groups(s.PodGroupTemplates, p.Child("podGroupTemplates"))
	t.composites(s.CompositePodGroupTemplates, p.Child("compositePodGroupTemplates"), 1)
}

type templateTree struct {
	f     *faults
	names seen[string]
}

func (t *templateTree) name(name string, p *field.Path, siblings map[string]bool) {
	if !siblings[name] && t.names.has(name) { // siblings of one name are found by the list's own rule
		t.f.duplicate(p, "name", name)
	}
	siblings[name] = true
}

func (t *templateTree) groups(list []schedulingv1alpha3.PodGroupTemplate, p *field.Path) {
	siblings := map[string]bool{}
	for i := range list {
		t.name(list[i].Name, p.Index(i), siblings)
	}
	for name := range siblings {
		t.names.again(name)
	}
}

func (t *templateTree) composites(list []schedulingv1alpha3.CompositePodGroupTemplate, p *field.Path, depth int) {
	siblings := map[string]bool{}
	for i := range list {
		t.name(list[i].Name, p.Index(i), siblings)
	}
	for name := range siblings {
		t.names.again(name)
	}
	for i := range list {
		c, at := &list[i], p.Index(i)
		switch {
		case len(c.PodGroupTemplates)+len(c.CompositePodGroupTemplates) == 0:
			t.f.required(at, "", "must specify at least one of: `podGroupTemplates`, `compositePodGroupTemplates`")
		case depth == schedulingv1alpha3.WorkloadMaxTreeDepth:
			t.f.forbidden(at, "", fmt.Sprintf("templates may be nested %d deep", schedulingv1alpha3.WorkloadMaxTreeDepth))
		default:
			t.groups(c.PodGroupTemplates, at.Child("podGroupTemplates"))
			t.composites(c.CompositePodGroupTemplates, at.Child("compositePodGroupTemplates"), depth+1)
		}
	}
}
