package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
)

// defaultTolerationSeconds lets pods stay on a node that is not ready or unreachable for a while, so that a short
// fault of a node does not move everything.
type defaultTolerationSeconds struct {
	*admission.Handler
	notReady, unreachable int64
}

func newDefaultTolerationSeconds(notReady, unreachable int64) admission.Interface {
	return &defaultTolerationSeconds{admission.NewHandler(admission.Create, admission.Update), notReady, unreachable}
}

// Admit implements admission.MutationInterface.
func (p *defaultTolerationSeconds) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	tolerate(pod, corev1.TaintNodeNotReady, p.notReady)
	tolerate(pod, corev1.TaintNodeUnreachable, p.unreachable)
	return nil
}

// tolerate adds the toleration unless the pod says itself how it stands to the taint.
func tolerate(pod *corev1.Pod, taint string, seconds int64) {
	for _, t := range pod.Spec.Tolerations {
		if (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return
		}
	}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
		Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
	})
}
