package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podAnnotations checks annotations that once configured pods and are still read.
func podAnnotations(f *faults, annotations map[string]string, s *corev1.PodSpec, p *field.Path) {
	if v, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && s.NodeName == "" {
		f.invalid(p.Key(corev1.MirrorPodAnnotationKey), "", v, "must set spec.nodeName if mirror pod annotation is set")
	}
	for key, v := range annotations {
		container, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		if !targetExists(s, container) && !ephemeralExists(s, container) {
			f.invalid(p.Key(key), "", container, "container not found")
		}
		switch {
		case v == "", v == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault, v == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		case strings.HasPrefix(v, corev1.DeprecatedAppArmorBetaProfileNamePrefix):
		default:
			f.invalid(p.Key(key), "", v, "invalid AppArmor profile name: \""+v+"\"")
		}
	}
}

// mirrorUpdate keeps what ties a mirror pod to its static pod.
func mirrorUpdate(f *faults, now, before map[string]string) {
	p := field.NewPath("metadata", "annotations").Key(corev1.MirrorPodAnnotationKey)
	n, is := now[corev1.MirrorPodAnnotationKey]
	o, was := before[corev1.MirrorPodAnnotationKey]
	switch {
	case was && n != o:
		f.forbidden(p, "", "may not remove or update mirror pod annotation")
	case is && !was:
		f.forbidden(p, "", "may not add mirror pod annotation")
	}
}

func ephemeralExists(s *corev1.PodSpec, name string) bool {
	for i := range s.EphemeralContainers {
		if s.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}
