package apps

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ControllerRevisions declares controllerrevisions.
func ControllerRevisions() *kind.Kind[*appsv1.ControllerRevision] {
	type T = *appsv1.ControllerRevision
	return &kind.Kind[T]{
		Group: "apps", Resource: "controllerrevisions", Singular: "controllerrevision",
		New:     func() T { return &appsv1.ControllerRevision{} },
		NewList: func() runtime.Object { return &appsv1.ControllerRevisionList{} },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Controller", controllerOf),
			kind.Number("Revision", func(r T) int64 { return r.Revision }),
			kind.Age[T](),
		},
	}
}

// controllerOf prints the owning controller as resource.group/name.
func controllerOf(r *appsv1.ControllerRevision) string {
	ref := metav1.GetControllerOf(r)
	if ref == nil {
		return "<none>"
	}
	name := strings.ToLower(ref.Kind)
	if gv, err := schema.ParseGroupVersion(ref.APIVersion); err == nil && gv.Group != "" {
		name += "." + gv.Group
	}
	return name + "/" + ref.Name
}
