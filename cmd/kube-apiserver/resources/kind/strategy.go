package kind

import (
	"context"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
)

// strategy is how the generic store treats objects of a Kind.
type strategy[T Object] struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind  *Kind[T]
	rules Rules
	off   *gated.Fields
}

func newStrategy[T Object](k *Kind[T], env *Env) strategy[T] {
	return strategy[T]{ObjectTyper: env.Types.Scheme, NameGenerator: names.SimpleNameGenerator, kind: k, rules: env.Rules, off: env.Off.In(k.New())}
}

var (
	_ rest.RESTCreateStrategy              = strategy[*metav1.PartialObjectMetadata]{}
	_ rest.RESTUpdateStrategy              = strategy[*metav1.PartialObjectMetadata]{}
	_ rest.GarbageCollectionDeleteStrategy = strategy[*metav1.PartialObjectMetadata]{}
	_ rest.RESTGracefulDeleteStrategy      = gracefulStrategy[*metav1.PartialObjectMetadata]{}
	_ rest.ResetFieldsStrategy             = strategy[*metav1.PartialObjectMetadata]{}
)

func (s strategy[T]) NamespaceScoped() bool { return !s.kind.ClusterScoped }

func (s strategy[T]) PrepareForCreate(ctx context.Context, o runtime.Object) {
	obj := o.(T)
	if s.kind.Status != nil {
		s.kind.Status.Clear(obj)
	}
	s.off.Drop(obj, nil)
	if s.kind.Generation {
		obj.SetGeneration(1)
	}
	if s.kind.PrepareCreate != nil {
		s.kind.PrepareCreate(ctx, obj)
	}
}

func (s strategy[T]) PrepareForUpdate(ctx context.Context, o, oldO runtime.Object) {
	obj, old := o.(T), oldO.(T)
	if s.kind.Status != nil {
		s.kind.Status.Copy(obj, old)
	}
	s.off.Drop(obj, old)
	if s.kind.PrepareUpdate != nil {
		s.kind.PrepareUpdate(ctx, obj, old)
	}
	if s.kind.Generation && !s.kind.Spec.Equal(obj, old) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

func (s strategy[T]) Validate(ctx context.Context, o runtime.Object) field.ErrorList {
	errs := s.rules.Create(o)
	if s.kind.ValidateCreate != nil {
		errs = append(errs, s.kind.ValidateCreate(ctx, o.(T))...)
	}
	return errs
}

func (s strategy[T]) ValidateUpdate(ctx context.Context, o, old runtime.Object) field.ErrorList {
	errs := s.rules.Update(o, old)
	if s.kind.ValidateUpdate != nil {
		errs = append(errs, s.kind.ValidateUpdate(ctx, o.(T), old.(T))...)
	}
	return errs
}

func (s strategy[T]) WarningsOnCreate(ctx context.Context, o runtime.Object) []string {
	if s.kind.Warnings == nil {
		return nil
	}
	var none T
	return s.kind.Warnings(ctx, o.(T), none)
}

func (s strategy[T]) WarningsOnUpdate(ctx context.Context, o, old runtime.Object) []string {
	if s.kind.Warnings == nil {
		return nil
	}
	return s.kind.Warnings(ctx, o.(T), old.(T))
}

func (strategy[T]) Canonicalize(runtime.Object)                     {}
func (s strategy[T]) AllowCreateOnUpdate(context.Context) bool      { return s.kind.CreateOnUpdate }
func (s strategy[T]) AllowUnconditionalUpdate(context.Context) bool { return !s.kind.ConditionalUpdate }

func (s strategy[T]) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	if s.kind.Dependents == "" {
		return rest.DeleteDependents
	}
	return s.kind.Dependents
}

// GetResetFields names what the main resource throws away, so that an applier does not come to own it.
func (s strategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.kind.Status == nil {
		return nil
	}
	return s.kind.resets(fieldpath.MakePathOrDie("status"))
}

func (k *Kind[T]) resets(paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	out := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, v := range k.ServedVersions() {
		gv := v
		if k.Group != "" {
			gv = k.Group + "/" + v
		}
		out[fieldpath.APIVersion(gv)] = fieldpath.NewSet(paths...)
	}
	return out
}

// statusStrategy is the update strategy of the status subresource.
type statusStrategy[T Object] struct{ strategy[T] }

func (s statusStrategy[T]) PrepareForUpdate(ctx context.Context, o, oldO runtime.Object) {
	obj, old := o.(T), oldO.(T)
	if s.kind.Spec != nil {
		s.kind.Spec.Copy(obj, old)
	}
	s.off.Drop(obj, old)
	if s.kind.StatusKeepsMeta {
		metav1.ResetObjectMetaForStatus(obj, old)
	}
	if s.kind.PrepareStatus != nil {
		s.kind.PrepareStatus(ctx, obj, old)
	}
}

func (s statusStrategy[T]) ValidateUpdate(ctx context.Context, o, old runtime.Object) field.ErrorList {
	errs := s.rules.StatusUpdate(o, old)
	if s.kind.ValidateStatus != nil {
		errs = append(errs, s.kind.ValidateStatus(ctx, o.(T), old.(T))...)
	}
	return errs
}

func (statusStrategy[T]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s statusStrategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	paths := []fieldpath.Path{fieldpath.MakePathOrDie("spec")}
	kept := s.kind.StatusResets
	if s.kind.StatusKeepsMeta {
		kept = []string{"deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"}
	}
	for _, f := range kept {
		paths = append(paths, fieldpath.MakePathOrDie("metadata", f))
	}
	return s.kind.resets(paths...)
}
