package resource

import (
	"context"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ResourceClaimTemplates declares resourceclaimtemplates.
func ResourceClaimTemplates() *kind.Kind[*resourcev1.ResourceClaimTemplate] {
	type T = *resourcev1.ResourceClaimTemplate
	var admin adminAccess
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1", "v1beta2", "v1beta1"}, Resource: "resourceclaimtemplates", Singular: "resourceclaimtemplate",
		New:       func() T { return &resourcev1.ResourceClaimTemplate{} },
		NewList:   func() runtime.Object { return &resourcev1.ResourceClaimTemplateList{} },
		Configure: admin.configure,
		ValidateCreate: func(ctx context.Context, t T) field.ErrorList {
			return admin.requested(ctx, t.Namespace, t.Spec.Spec.Devices.Requests, field.NewPath("spec", "spec", "devices", "requests"))
		},
		Columns: []kind.Column[T]{kind.Name[T](), kind.Age[T]()},
	}
}
