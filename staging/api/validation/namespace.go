package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func namespaceCreate(n *corev1.Namespace) *faults {
	f := metadata(&n.ObjectMeta, cluster, labelName)
	namespaceFinalizers(f, n)
	return f
}

func namespaceUpdate(n, old *corev1.Namespace) *faults {
	return metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
}

// namespaceStatus ties the phase to the deletion.
func namespaceStatus(n, old *corev1.Namespace) *faults {
	f := metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
	if n.DeletionTimestamp.IsZero() {
		if n.Status.Phase != corev1.NamespaceActive {
			f.invalid(field.NewPath("status"), "Phase", n.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty")
		}
	} else if n.Status.Phase != corev1.NamespaceTerminating {
		f.invalid(field.NewPath("status"), "Phase", n.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
	}
	return f
}

func namespaceFinalize(n, old *corev1.Namespace) *faults {
	f := metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
	namespaceFinalizers(f, n)
	return f
}

func namespaceFinalizers(f *faults, n *corev1.Namespace) {
	spec := field.NewPath("spec")
	for i, name := range n.Spec.Finalizers {
		f.messages(spec.Child("finalizers").Index(i), "", string(name), validation.IsQualifiedName(string(name)))
	}
	finalizerNames(f, n.Spec.Finalizers, spec)
}
