package kind

import (
	"context"
	"errors"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Scaling tells how a resource looks as a Scale.
type Scaling[T Object] struct {
	Replicas func(obj T) **int32
	Observed func(obj T) int32
	Selector func(obj T) *metav1.LabelSelector
}

// Scale is the scale subresource (autoscaling/v1): one number of any scalable resource.
type Scale[T Object] struct {
	store   *Store
	rules   Rules
	scaling Scaling[T]
	mapping managedfields.ResourcePathMappings
}

var (
	_ rest.Patcher                  = (*Scale[*metav1.PartialObjectMetadata])(nil)
	_ rest.GroupVersionKindProvider = (*Scale[*metav1.PartialObjectMetadata])(nil)
	_ rest.TableConvertor           = (*Scale[*metav1.PartialObjectMetadata])(nil)
)

// NewScale returns the scale subresource of the resource in store.
func NewScale[T Object](store *Store, env *Env, scaling Scaling[T]) *Scale[T] {
	gr := store.DefaultQualifiedResource
	gv := schema.GroupVersion{Group: gr.Group, Version: "v1"}
	return &Scale[T]{
		store: store, rules: env.Rules, scaling: scaling,
		mapping: managedfields.ResourcePathMappings{gv.String(): fieldpath.MakePathOrDie("spec", "replicas")},
	}
}

// New implements rest.Storage.
func (s *Scale[T]) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy implements rest.Storage.
func (s *Scale[T]) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider: the kind lives in another group than the resource.
func (s *Scale[T]) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

// Get implements rest.Getter.
func (s *Scale[T]) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.store.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	return s.view(obj.(T))
}

// view is obj as a Scale.
func (s *Scale[T]) view(obj T) (*autoscalingv1.Scale, error) {
	selector := ""
	if ls := s.scaling.Selector(obj); ls != nil {
		parsed, err := metav1.LabelSelectorAsSelector(ls)
		if err != nil {
			return nil, fmt.Errorf("spec.selector of %s %s/%s: %w", s.store.DefaultQualifiedResource, obj.GetNamespace(), obj.GetName(), err)
		}
		selector = parsed.String()
	}
	var replicas int32
	if n := *s.scaling.Replicas(obj); n != nil {
		replicas = *n
	}
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name: obj.GetName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
			ResourceVersion: obj.GetResourceVersion(), CreationTimestamp: obj.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: replicas},
		Status: autoscalingv1.ScaleStatus{Replicas: s.scaling.Observed(obj), Selector: selector},
	}, nil
}

// Update implements rest.Updater.
func (s *Scale[T]) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc,
	admit rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	set := func(ctx context.Context, _, old runtime.Object) (runtime.Object, error) {
		obj := old.DeepCopyObject().(T)
		return s.apply(ctx, obj, info)
	}
	admitScale := func(ctx context.Context, obj, old runtime.Object) error {
		if admit == nil {
			return nil
		}
		scale, err := s.view(obj.(T))
		if err != nil {
			return err
		}
		oldScale, err := s.view(old.(T))
		if err != nil {
			return err
		}
		return admit(ctx, scale, oldScale)
	}
	obj, _, err := s.store.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, set), rest.ValidateAllObjectFunc, admitScale, false, options)
	if err != nil {
		return nil, false, err
	}
	scale, err := s.view(obj.(T))
	return scale, false, err
}

// apply writes the number that info wants into obj, and who owns it into the managed fields.
func (s *Scale[T]) apply(ctx context.Context, obj T, info rest.UpdatedObjectInfo) (runtime.Object, error) {
	if obj.GetResourceVersion() == "" {
		return nil, apierrors.NewNotFound(s.store.DefaultQualifiedResource, obj.GetName())
	}
	old, err := s.view(obj)
	if err != nil {
		return nil, err
	}
	fields := managedfields.NewScaleHandler(obj.GetManagedFields(),
		schema.GroupVersion{Group: s.store.DefaultQualifiedResource.Group, Version: "v1"}, s.mapping)
	if old.ManagedFields, err = fields.ToSubresource(); err != nil {
		return nil, err
	}
	updated, err := info.UpdatedObject(ctx, old)
	if err != nil {
		return nil, err
	}
	scale, ok := updated.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected a Scale, got %T", updated))
	}
	if scale.UID != "" && scale.UID != obj.GetUID() {
		return nil, apierrors.NewConflict(s.store.DefaultQualifiedResource, obj.GetName(),
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", scale.UID, obj.GetUID())) //nolint:staticcheck // as clients know it
	}
	if errs := s.rules.Subresource("scale", scale, old); len(errs) > 0 {
		return nil, apierrors.NewInvalid(autoscalingv1.SchemeGroupVersion.WithKind("Scale").GroupKind(), scale.Name, errs)
	}
	if scale.ResourceVersion != "" && scale.ResourceVersion != obj.GetResourceVersion() {
		return nil, apierrors.NewConflict(s.store.DefaultQualifiedResource, obj.GetName(),
			errors.New(registry.OptimisticLockErrorMsg))
	}
	n := scale.Spec.Replicas
	*s.scaling.Replicas(obj) = &n
	entries, err := fields.ToParent(scale.ManagedFields)
	if err != nil {
		return nil, err
	}
	obj.SetManagedFields(entries)
	return obj, nil
}

// ConvertToTable implements rest.TableConvertor.
func (s *Scale[T]) ConvertToTable(ctx context.Context, o, options runtime.Object) (*metav1.Table, error) {
	type S = *autoscalingv1.Scale
	return Table(ctx, o, options,
		Name[S](),
		Number("Desired", func(s S) int32 { return s.Spec.Replicas }),
		Number("Available", func(s S) int32 { return s.Status.Replicas }),
		Age[S](),
	)
}
