package admission

import (
	"context"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
)

// extendedResourceToleration tolerates, for each extended resource that a pod asks for, the taint of its name: nodes
// with special hardware can be kept free for the pods that use it.
type extendedResourceToleration struct{ *admission.Handler }

func newExtendedResourceToleration(io.Reader) (admission.Interface, error) {
	return extendedResourceToleration{admission.NewHandler(admission.Create, admission.Update)}, nil
}

// Admit implements admission.MutationInterface.
func (extendedResourceToleration) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	var names []string
	eachContainer(&pod.Spec, func(_ string, _ int, c *corev1.Container) {
		for name := range c.Resources.Requests {
			if isExtended(name) {
				names = append(names, string(name))
			}
		}
	})
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		want := corev1.Toleration{Key: name, Operator: corev1.TolerationOpExists}
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return t == want }) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, want)
		}
	}
	return nil
}

// isExtended reports whether a resource is of a device plugin: it has a domain that is not Kubernetes' own.
func isExtended(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	if !qualified || domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io") {
		return false
	}
	return !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
}
