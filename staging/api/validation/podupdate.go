package validation

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const changeablePodFields = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`," +
	"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

func podUpdate(pod, old *corev1.Pod) *faults {
	f := metadataUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	podAnnotations(f, pod.Annotations, &pod.Spec, field.NewPath("metadata", "annotations"))
	mirrorUpdate(f, pod.Annotations, old.Annotations)
	if same(&pod.Spec, &old.Spec) {
		return f
	}
	spec := field.NewPath("spec")
	podSpec(f, &pod.Spec, toleratedOf(&old.Spec), spec)
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		f.forbidden(spec, "containers", "pod updates may not add or remove containers")
		return f
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		f.forbidden(spec, "initContainers", "pod updates may not add or remove containers")
		return f
	}
	deadlineUpdate(f, pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, spec)
	tolerationsUpdate(f, pod.Spec.Tolerations, old.Spec.Tolerations, spec)
	gatesUpdate(f, pod.Spec.SchedulingGates, old.Spec.SchedulingGates, spec)
	restOfPod(f, pod, old, spec)
	return f
}

// restOfPod refuses every change but those that podUpdate has checked one by one.
func restOfPod(f *faults, pod, old *corev1.Pod, p *field.Path) {
	now := pod.Spec.DeepCopy()
	for i := range now.Containers {
		now.Containers[i].Image = old.Spec.Containers[i].Image
	}
	for i := range now.InitContainers {
		now.InitContainers[i].Image = old.Spec.InitContainers[i].Image
	}
	now.ActiveDeadlineSeconds = old.Spec.ActiveDeadlineSeconds
	now.SchedulingGates = old.Spec.SchedulingGates
	now.Tolerations = old.Spec.Tolerations
	if o, n := old.Spec.TerminationGracePeriodSeconds, now.TerminationGracePeriodSeconds; o != nil && *o < 0 && n != nil && *n == 1 {
		now.TerminationGracePeriodSeconds = o
	}
	if len(old.Spec.SchedulingGates) > 0 {
		gatedUpdate(f, now, &old.Spec, p)
	}
	if !same(now, &old.Spec) {
		f.forbidden(p, "", changeablePodFields+"\n"+diff.Diff(&old.Spec, now))
	}
}

func deadlineUpdate(f *faults, now, before *int64, p *field.Path) {
	switch {
	case now != nil && (*now < 0 || *now > math.MaxInt32):
		f.invalid(p, "activeDeadlineSeconds", *now, validation.InclusiveRangeError(0, math.MaxInt32))
	case now != nil && before != nil && *before < *now:
		f.invalid(p, "activeDeadlineSeconds", *now, "must be less than or equal to previous value")
	case now == nil && before != nil:
		f.invalid(p, "activeDeadlineSeconds", now, "must not update from a positive integer to nil value")
	}
}

// tolerationsUpdate allows additions, and another tolerationSeconds.
func tolerationsUpdate(f *faults, now, before []corev1.Toleration, p *field.Path) {
	for _, o := range before {
		kept := slices.ContainsFunc(now, func(n corev1.Toleration) bool {
			n.TolerationSeconds, o.TolerationSeconds = nil, nil
			return n == o
		})
		if !kept {
			f.forbidden(p, "tolerations", "existing toleration can not be modified except its tolerationSeconds")
			return
		}
	}
}

func gatesUpdate(f *faults, now, before []corev1.PodSchedulingGate, p *field.Path) {
	for _, g := range now {
		if !slices.Contains(before, g) {
			f.forbidden(p, "schedulingGates", fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name))
			return
		}
	}
}

// gatedUpdate lets a pod that waits behind a gate be confined to fewer nodes (KEP-3838).
func gatedUpdate(f *faults, now, old *corev1.PodSpec, p *field.Path) {
	for key, v := range old.NodeSelector {
		if now.NodeSelector[key] != v {
			f.invalid(p, "nodeSelector", now.NodeSelector, "only additions are allowed (no mutations or deletions)")
			break
		}
	}
	now.NodeSelector = old.NodeSelector
	var nowNode, oldNode *corev1.NodeAffinity
	if now.Affinity != nil {
		nowNode = now.Affinity.NodeAffinity
	}
	if old.Affinity != nil {
		oldNode = old.Affinity.NodeAffinity
	}
	nodeAffinityUpdate(f, nowNode, oldNode, p.Child("affinity").Child("nodeAffinity"))
	switch {
	case now.Affinity == nil && oldNode == nil, now.Affinity == nil:
	case old.Affinity == nil && now.Affinity.PodAffinity == nil && now.Affinity.PodAntiAffinity == nil:
		now.Affinity = nil
	default:
		now.Affinity.NodeAffinity = oldNode
	}
}

func nodeAffinityUpdate(f *faults, now, before *corev1.NodeAffinity, p *field.Path) {
	if before == nil || before.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return
	}
	const required = "requiredDuringSchedulingIgnoredDuringExecution"
	if now == nil || now.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		f.invalid(p, required, nil, "required node affinity cannot be removed")
		return
	}
	o, n := before.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms, now.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	at := p.Child(required).Child("nodeSelectorTerms")
	if len(o) > 0 && len(n) != len(o) {
		f.invalid(at, "", n, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
		return
	}
	for i := range o {
		if !extends(n[i].MatchExpressions, o[i].MatchExpressions) || !extends(n[i].MatchFields, o[i].MatchFields) {
			f.invalid(at.Index(i), "", n[i], "only additions are allowed (no mutations or deletions)")
		}
	}
}

// extends tells whether a list begins with all of another one.
func extends(now, before []corev1.NodeSelectorRequirement) bool {
	return len(now) >= len(before) && same(now[:len(before)], before)
}
