package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podResize checks the resize subresource: nothing but CPU and memory of containers may change (KEP-1287).
func podResize(pod, old *corev1.Pod) *faults {
	f := metadataUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	podSpec(f, &pod.Spec, toleratedOf(&old.Spec), spec)
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		f.forbidden(field.NewPath(""), "", "static pods cannot be resized")
		return f
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		f.forbidden(field.NewPath(""), "", "windows pods cannot be resized")
		return f
	}
	if len(pod.Spec.Containers) != len(old.Spec.Containers) || len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		f.forbidden(spec, "", "containers may not be added or removed on resize")
		return f
	}
	if now, before := QOSClass(pod), QOSClass(old); now != before {
		f.invalid(spec, "", now, "Pod QOS Class may not change as a result of resizing")
	}
	rest := pod.Spec.DeepCopy()
	for i := range rest.Containers {
		resizeContainer(f, &rest.Containers[i], &old.Spec.Containers[i], spec.Child("containers").Index(i))
	}
	for i := range rest.InitContainers {
		if restartable(&old.Spec.InitContainers[i]) {
			resizeContainer(f, &rest.InitContainers[i], &old.Spec.InitContainers[i], spec.Child("initContainers").Index(i))
		}
	}
	if rest.Resources != nil && old.Spec.Resources != nil {
		resizable(f, rest.Resources, old.Spec.Resources, spec.Child("resources"))
	}
	if !same(rest, &old.Spec) {
		f.forbidden(spec, "", "only cpu and memory resources are mutable")
	}
	return f
}

// resizeContainer checks one container and gives it its old resources, so that other changes stand out.
func resizeContainer(f *faults, c, old *corev1.Container, p *field.Path) {
	resizable(f, &c.Resources, &old.Resources, p.Child("resources"))
	c.ResizePolicy = old.ResizePolicy
}

func resizable(f *faults, r, old *corev1.ResourceRequirements, p *field.Path) {
	r.Limits = resized(f, r.Limits, old.Limits, p, "limits", "resource limits cannot be removed")
	r.Requests = resized(f, r.Requests, old.Requests, p, "requests", "resource requests cannot be removed")
}

func resized(f *faults, now, before corev1.ResourceList, p *field.Path, name, removed string) corev1.ResourceList {
	out := now.DeepCopy()
	for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		b, had := before[r]
		_, has := now[r]
		switch {
		case had && !has:
			f.forbidden(p, name, removed)
			out = with(out, r, b)
		case had:
			out[r] = b
		case has:
			delete(out, r)
		}
	}
	return out
}
