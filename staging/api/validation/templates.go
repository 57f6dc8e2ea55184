package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const noMatch = "`selector` does not match template `labels`"

// workloadSelector checks the selector of a workload and that the template's pods are selected.
func workloadSelector(f *faults, s *metav1.LabelSelector, t *corev1.PodTemplateSpec, strict bool, empty string, p *field.Path) {
	if s == nil {
		f.required(p, "selector", "")
		return
	}
	selector(f, s, strict, p.Child("selector"))
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		f.invalid(p, "selector", s, empty)
		return
	}
	compiled, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		f.invalid(p, "selector", s, "invalid label selector")
		return
	}
	if !compiled.Matches(labels.Set(t.Labels)) {
		f.invalid(p.Child("template", "metadata"), "labels", t.Labels, noMatch)
	}
}

// longRunning refuses what only makes sense for pods that end.
func longRunning(f *faults, s *corev1.PodSpec, kind string, p *field.Path) {
	if s.RestartPolicy != corev1.RestartPolicyAlways {
		f.add(field.NotSupported(p.Child("restartPolicy"), s.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if s.ActiveDeadlineSeconds != nil {
		f.forbidden(p, "activeDeadlineSeconds", "activeDeadlineSeconds in "+kind+" is not Supported")
	}
}

// sharedDisks refuses disks that only one machine can write to in a template of several pods.
func sharedDisks(f *faults, t *corev1.PodTemplateSpec, replicas int32, p *field.Path) {
	if replicas <= 1 {
		return
	}
	for i := range t.Spec.Volumes {
		at := p.Child("spec", "volumes").Index(i)
		if d := t.Spec.Volumes[i].GCEPersistentDisk; d != nil && !d.ReadOnly {
			f.invalid(at.Child("gcePersistentDisk"), "readOnly", false, "must be read-only for replicated pods > 1; GCE PD can only be mounted on multiple machines if it is read-only")
		}
	}
}

// intOrPercent checks a number of pods that may be given as a share.
func intOrPercent(f *faults, v *intstr.IntOrString, p *field.Path, name string) {
	if v == nil {
		return
	}
	switch v.Type {
	case intstr.String:
		f.messagesOf(p, name, v, validation.IsValidPercent(v.StrVal))
	case intstr.Int:
		f.notNegative(p, name, int64(v.IntVal))
	default:
		f.invalid(p, name, v, "must be an integer or percentage (e.g '5%')")
	}
}

func (f *faults) messagesOf(p *field.Path, name string, value any, msgs []string) {
	for _, m := range msgs {
		f.invalid(p, name, value, m)
	}
}

// percent reads a share; ok is false for a number or nonsense.
func percent(v *intstr.IntOrString) (n int, ok bool) {
	if v == nil || v.Type != intstr.String || len(validation.IsValidPercent(v.StrVal)) > 0 {
		return 0, false
	}
	_, err := fmt.Sscanf(v.StrVal, "%d%%", &n)
	return n, err == nil
}

func atMostAll(f *faults, v *intstr.IntOrString, p *field.Path, name string) {
	if n, ok := percent(v); ok && n > 100 {
		f.invalid(p, name, v, "must not be greater than 100%")
	}
}

// isZero tells whether a number of pods, or a share, is none.
func isZero(v *intstr.IntOrString) bool {
	if v == nil {
		return true
	}
	if v.Type == intstr.Int {
		return v.IntVal == 0
	}
	n, ok := percent(v)
	return ok && n == 0
}

// count is one number of a status.
type count struct {
	name  string
	value int64
}

func counts(f *faults, p *field.Path, list ...count) {
	for _, c := range list {
		f.notNegative(p, c.name, c.value)
	}
}

func noMore(f *faults, p *field.Path, limit int64, text string, list ...count) {
	for _, c := range list {
		if c.value > limit {
			f.invalid(p, c.name, c.value, text)
		}
	}
}

func collisions(f *faults, now, before *int32, p *field.Path) {
	f.notNegativePtr(p, "collisionCount", now)
	if before == nil {
		return
	}
	if now == nil || *now < *before {
		f.invalid(p, "collisionCount", valueOr(now, 0), "cannot be decremented")
	}
}

func valueOr[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}
