package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podEphemeralContainers checks the ephemeralcontainers subresource: containers come, and neither change nor go.
func podEphemeralContainers(pod, old *corev1.Pod) *faults {
	f := metadataUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	list := spec.Child("ephemeralContainers")
	podSpec(f, &pod.Spec, toleratedOf(&old.Spec), spec)
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		f.forbidden(field.NewPath(""), "", "static pods do not support ephemeral containers")
		return f
	}
	now := make(map[string]*corev1.EphemeralContainer, len(pod.Spec.EphemeralContainers))
	for i := range pod.Spec.EphemeralContainers {
		now[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	for i := range old.Spec.EphemeralContainers {
		o := &old.Spec.EphemeralContainers[i]
		if n, ok := now[o.Name]; !ok {
			f.forbidden(list, "", fmt.Sprintf("existing ephemeral containers %q may not be removed\n", o.Name))
		} else if !same(n, o) {
			f.forbidden(list, "", fmt.Sprintf("existing ephemeral containers %q may not be changed\n", o.Name))
		}
	}
	return f
}

// podBinding checks which node a pod is given to.
func podBinding(b *corev1.Binding) *faults {
	f := &faults{}
	target := field.NewPath("target")
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		f.add(field.NotSupported(target.Child("kind"), b.Target.Kind, []string{"Node", "<empty>"}))
	}
	f.present(target, "name", b.Target.Name)
	return f
}
