package resource

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ResourceClaimTemplates declares resourceclaimtemplates.
func ResourceClaimTemplates() *kind.Kind[*resourcev1.ResourceClaimTemplate] {
	type T = *resourcev1.ResourceClaimTemplate
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1", "v1beta2", "v1beta1"}, Resource: "resourceclaimtemplates", Singular: "resourceclaimtemplate",
		New:     func() T { return &resourcev1.ResourceClaimTemplate{} },
		NewList: func() runtime.Object { return &resourcev1.ResourceClaimTemplateList{} },
		Columns: []kind.Column[T]{kind.Name[T](), kind.Age[T]()},
	}
}
