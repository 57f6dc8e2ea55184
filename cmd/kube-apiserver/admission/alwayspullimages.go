package admission

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
)

// alwaysPullImages sets imagePullPolicy of every container to Always, so that a private image that lies on a node can
// be used only by who has the credentials for it.
type alwaysPullImages struct{ *admission.Handler }

func newAlwaysPullImages(io.Reader) (admission.Interface, error) {
	return alwaysPullImages{admission.NewHandler(admission.Create, admission.Update)}, nil
}

func (alwaysPullImages) concerns(a admission.Attributes) bool {
	return is(a, "", "pods") || isSub(a, "", "pods", "ephemeralcontainers")
}

// Admit implements admission.MutationInterface. On an update only containers with a new image are changed; a running
// pod's policy cannot be.
func (p alwaysPullImages) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !p.concerns(a) {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	images := map[string]bool{}
	if a.GetOperation() == admission.Update {
		old, err := oldObject[*corev1.Pod](a)
		if err != nil {
			return err
		}
		eachContainer(&old.Spec, func(_ string, _ int, c *corev1.Container) { images[c.Image] = true })
	}
	eachContainer(&pod.Spec, func(_ string, _ int, c *corev1.Container) {
		if !images[c.Image] {
			c.ImagePullPolicy = corev1.PullAlways
		}
	})
	for i := range pod.Spec.Volumes {
		if v := pod.Spec.Volumes[i].Image; v != nil && !images[v.Reference] && a.GetOperation() == admission.Create {
			v.PullPolicy = corev1.PullAlways
		}
	}
	return nil
}

// Validate implements admission.ValidationInterface: what ran after Admit may have changed the policy again.
func (p alwaysPullImages) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !p.concerns(a) || a.GetOperation() != admission.Create {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	var errs field.ErrorList
	eachContainer(&pod.Spec, func(path string, i int, c *corev1.Container) {
		if c.ImagePullPolicy != corev1.PullAlways {
			errs = append(errs, field.NotSupported(field.NewPath("spec", path).Index(i).Child("imagePullPolicy"), c.ImagePullPolicy, []corev1.PullPolicy{corev1.PullAlways}))
		}
	})
	if len(errs) > 0 {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), errs.ToAggregate())
	}
	return nil
}
