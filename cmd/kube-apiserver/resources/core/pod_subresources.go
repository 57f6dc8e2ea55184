package core

import (
	"context"
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

func podSubresources(pods *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
	reach, err := newPodReach(pods, env)
	if err != nil {
		return nil, err
	}
	budgets, err := env.Store("policy", "poddisruptionbudgets")
	if err != nil {
		return nil, err
	}
	off := env.Off.In(&corev1.Pod{})
	ephemeral := podPartStrategy{RESTUpdateStrategy: pods.UpdateStrategy, rules: env.Rules, off: off, name: "ephemeralcontainers", take: takeEphemeral}
	resize := podPartStrategy{RESTUpdateStrategy: pods.UpdateStrategy, rules: env.Rules, off: off, name: "resize", take: takeResources}
	return map[string]rest.Storage{
		"binding":             &podBinding{pods: pods, rules: env.Rules},
		"eviction":            &podEviction{pods: pods, budgets: budgets},
		"ephemeralcontainers": kind.NewUpdater(pods, ephemeral, ephemeralOwned()),
		"resize":              kind.NewUpdater(pods, resize, resizeOwned()),
		"log":                 &podLog{reach, env.Gates.Enabled(gated.PodLogsQuerySplitStreams)},
		"exec":                newExec(reach, env.Authorizer),
		"attach":              newAttach(reach, env.Authorizer),
		"portforward":         newPortForward(reach, env.Authorizer),
		"proxy":               newPodProxy(reach, env.Proxied, env.Proxy),
	}, nil
}

// podPartStrategy lets a subresource change one part of a pod's spec and nothing else.
type podPartStrategy struct {
	rest.RESTUpdateStrategy
	rules kind.Rules
	off   *gated.Fields
	name  string
	// take copies the part from the wish into a copy of what is.
	take func(into, wish *corev1.Pod)
}

func (s podPartStrategy) PrepareForUpdate(_ context.Context, o, oldO runtime.Object) {
	wish, old := o.(*corev1.Pod), oldO.(*corev1.Pod)
	result := old.DeepCopy()
	result.ManagedFields = wish.ManagedFields
	result.ResourceVersion = wish.ResourceVersion
	s.take(result, wish)
	s.off.Drop(result, old)
	if !equality.Semantic.DeepEqual(result.Spec, old.Spec) {
		result.Generation = old.Generation + 1
	}
	*wish = *result
}

func (s podPartStrategy) ValidateUpdate(_ context.Context, o, old runtime.Object) field.ErrorList {
	return s.rules.Subresource(s.name, o, old)
}

func (podPartStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func takeEphemeral(into, wish *corev1.Pod) {
	into.Spec.EphemeralContainers = wish.Spec.EphemeralContainers
}

// ephemeralOwned and resizeOwned are what take takes: an applier comes to own nothing that it cannot change.
func ephemeralOwned() map[fieldpath.APIVersion]fieldpath.Filter {
	return map[fieldpath.APIVersion]fieldpath.Filter{
		"v1": fieldpath.NewIncludeMatcherFilter(fieldpath.MakePrefixMatcherOrDie("spec", "ephemeralContainers")),
	}
}

func resizeOwned() map[fieldpath.APIVersion]fieldpath.Filter {
	each := fieldpath.MatchAnyPathElement()
	return map[fieldpath.APIVersion]fieldpath.Filter{"v1": fieldpath.NewIncludeMatcherFilter(
		fieldpath.MakePrefixMatcherOrDie("spec", "resources"),
		fieldpath.MakePrefixMatcherOrDie("spec", "containers", each, "resources"),
		fieldpath.MakePrefixMatcherOrDie("spec", "containers", each, "resizePolicy"),
		fieldpath.MakePrefixMatcherOrDie("spec", "initContainers", each, "resources"),
		fieldpath.MakePrefixMatcherOrDie("spec", "initContainers", each, "resizePolicy"),
	)}
}

// takeResources takes the requests and limits of containers (KEP-1287). A wish for other containers is kept whole, for
// the validation to refuse.
func takeResources(into, wish *corev1.Pod) {
	sameName := func(a, b corev1.Container) bool { return a.Name == b.Name }
	if !slices.EqualFunc(into.Spec.Containers, wish.Spec.Containers, sameName) ||
		!slices.EqualFunc(into.Spec.InitContainers, wish.Spec.InitContainers, sameName) {
		into.Spec = wish.Spec
		return
	}
	take := func(into, wish []corev1.Container) {
		for i := range into {
			into[i].Resources, into[i].ResizePolicy = wish[i].Resources, wish[i].ResizePolicy
		}
	}
	take(into.Spec.Containers, wish.Spec.Containers)
	take(into.Spec.InitContainers, wish.Spec.InitContainers)
	into.Spec.Resources = wish.Spec.Resources
}
