package kind

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TemplateWarnings tells of doubtful content of a pod template at path, and after an update only if it made a new
// generation.
func TemplateWarnings[T Object](template func(T) *corev1.PodTemplateSpec, path ...string) func(context.Context, T, T) []string {
	return func(_ context.Context, obj, old T) []string {
		var none T
		if any(old) != any(none) && obj.GetGeneration() == old.GetGeneration() {
			return nil
		}
		return PodWarnings(&template(obj).Spec, field.NewPath(path[0], path[1:]...).Child("spec"))
	}
}

// PodWarnings tells of doubtful content of a pod.
func PodWarnings(s *corev1.PodSpec, p *field.Path) []string {
	var out []string
	for i := range s.InitContainers {
		out = append(out, envWarnings(s.InitContainers[i].Env, p.Child("initContainers").Index(i))...)
	}
	for i := range s.Containers {
		out = append(out, envWarnings(s.Containers[i].Env, p.Child("containers").Index(i))...)
	}
	return out
}

// envWarnings tells of variables that are set twice: appliers merge the list by name. Who adds to the former value by
// naming it means it.
func envWarnings(env []corev1.EnvVar, p *field.Path) []string {
	var out []string
	known := map[string]bool{}
	for i, e := range env {
		former := "$(" + e.Name + ")"
		adds := e.ValueFrom == nil && e.Value != former && strings.Contains(e.Value, former)
		if known[e.Name] && !adds {
			out = append(out, fmt.Sprintf("%s: hides previous definition of %q, which may be dropped when using apply", p.Child("env").Index(i), e.Name))
		}
		known[e.Name] = true
	}
	return out
}
