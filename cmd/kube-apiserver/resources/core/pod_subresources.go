package core

import (
	"context"

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
		"ephemeralcontainers": kind.NewUpdater(pods, ephemeral, ephemeral),
		"resize":              kind.NewUpdater(pods, resize, resize),
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

// GetResetFields is all but the part: an applier of the subresource comes to own nothing else.
func (s podPartStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{"v1": fieldpath.NewSet(fieldpath.MakePathOrDie("status"))}
}

func takeEphemeral(into, wish *corev1.Pod) {
	into.Spec.EphemeralContainers = wish.Spec.EphemeralContainers
}

// takeResources takes the requests and limits of containers that are there by the same name (KEP-1287).
func takeResources(into, wish *corev1.Pod) {
	take := func(into, wish []corev1.Container) {
		byName := make(map[string]*corev1.Container, len(wish))
		for i := range wish {
			byName[wish[i].Name] = &wish[i]
		}
		for i := range into {
			if w, ok := byName[into[i].Name]; ok {
				into[i].Resources, into[i].ResizePolicy = w.Resources, w.ResizePolicy
			}
		}
	}
	take(into.Spec.Containers, wish.Spec.Containers)
	take(into.Spec.InitContainers, wish.Spec.InitContainers)
	into.Spec.Resources = wish.Spec.Resources
}
