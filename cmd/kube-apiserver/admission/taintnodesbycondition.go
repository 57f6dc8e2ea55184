package admission

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
)

// taintNodesByCondition taints new nodes as not ready: nothing is scheduled to them before their state is known.
type taintNodesByCondition struct{ *admission.Handler }

func newTaintNodesByCondition(io.Reader) (admission.Interface, error) {
	return taintNodesByCondition{admission.NewHandler(admission.Create)}, nil
}

// Admit implements admission.MutationInterface.
func (taintNodesByCondition) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "nodes") {
		return nil
	}
	node, err := object[*corev1.Node](a)
	if err != nil {
		return err
	}
	for _, t := range node.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady && t.Effect == corev1.TaintEffectNoSchedule {
			return nil
		}
	}
	node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})
	return nil
}
