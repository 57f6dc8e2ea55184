package resource

import (
	"context"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ResourceClaims declares resourceclaims.
func ResourceClaims() *kind.Kind[*resourcev1.ResourceClaim] {
	type T = *resourcev1.ResourceClaim
	var admin adminAccess
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1", "v1beta2", "v1beta1"}, Resource: "resourceclaims", Singular: "resourceclaim",
		New:             func() T { return &resourcev1.ResourceClaim{} },
		NewList:         func() runtime.Object { return &resourcev1.ResourceClaimList{} },
		Spec:            kind.Field(func(c T) *resourcev1.ResourceClaimSpec { return &c.Spec }),
		Status:          kind.Field(func(c T) *resourcev1.ResourceClaimStatus { return &c.Status }),
		StatusKeepsMeta: true,
		PrepareStatus:   func(_ context.Context, c, old T) { c.Finalizers = old.Finalizers },
		Configure:       admin.configure,
		ValidateCreate: func(ctx context.Context, c T) field.ErrorList {
			return admin.requested(ctx, c.Namespace, c.Spec.Devices.Requests, field.NewPath("spec", "devices", "requests"))
		},
		ValidateStatus: func(ctx context.Context, c, old T) field.ErrorList {
			return admin.granted(ctx, c.Namespace, c.Status.Allocation, old.Status.Allocation)
		},
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("State", claimState),
			kind.Age[T](),
		},
	}
}

func claimState(c *resourcev1.ResourceClaim) string {
	var states []string
	if c.DeletionTimestamp != nil {
		states = append(states, "deleted")
	}
	if c.Status.Allocation == nil {
		if c.DeletionTimestamp == nil {
			states = append(states, "pending")
		}
	} else {
		states = append(states, "allocated")
		if len(c.Status.ReservedFor) > 0 {
			states = append(states, "reserved")
		}
	}
	return strings.Join(states, ",")
}
