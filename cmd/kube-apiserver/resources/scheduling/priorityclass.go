package scheduling

import (
	"context"
	"errors"
	"slices"

	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PriorityClasses declares priorityclasses.
func PriorityClasses() *kind.Kind[*schedulingv1.PriorityClass] {
	type T = *schedulingv1.PriorityClass
	return &kind.Kind[T]{
		Group: "scheduling.k8s.io", Resource: "priorityclasses", Singular: "priorityclass", ShortNames: []string{"pc"}, ClusterScoped: true,
		New:           func() T { return &schedulingv1.PriorityClass{} },
		NewList:       func() runtime.Object { return &schedulingv1.PriorityClassList{} },
		PrepareCreate: func(_ context.Context, c T) { c.Generation = 1 },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Value", func(c T) int32 { return c.Value }),
			kind.Flag("Global-Default", func(c T) bool { return c.GlobalDefault }),
			kind.Age[T](),
			kind.Text("PreemptionPolicy", func(c T) string {
				if c.PreemptionPolicy == nil {
					return ""
				}
				return string(*c.PreemptionPolicy)
			}),
		},
		Wrap: func(store *kind.Store, _ *kind.Env) rest.Storage { return classes{store} },
	}
}

func systemClasses() []string { return []string{"system-node-critical", "system-cluster-critical"} }

// classes serves priorityclasses: those of the system are not deleted.
type classes struct{ *kind.Store }

// Delete implements rest.GracefulDeleter.
func (c classes) Delete(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	if slices.Contains(systemClasses(), name) {
		return nil, false, apierrors.NewForbidden(schedulingv1.Resource("priorityclasses"), name, errors.New("this is a system priority class and cannot be deleted"))
	}
	return c.Store.Delete(ctx, name, admit, options)
}

// DeleteCollection implements rest.CollectionDeleter: it passes over those of the system.
func (c classes) DeleteCollection(ctx context.Context, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	if list = list.DeepCopy(); list == nil {
		list = &metainternalversion.ListOptions{}
	}
	if list.FieldSelector == nil {
		list.FieldSelector = fields.Everything()
	}
	for _, name := range systemClasses() {
		list.FieldSelector = fields.AndSelectors(list.FieldSelector, fields.OneTermNotEqualSelector("metadata.name", name))
	}
	return c.Store.DeleteCollection(ctx, admit, options, list)
}
