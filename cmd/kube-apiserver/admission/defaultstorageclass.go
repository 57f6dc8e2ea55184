package admission

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	storagelisters "k8s.io/client-go/listers/storage/v1"
)

const (
	defaultStorageClassAnnotation     = "storageclass.kubernetes.io/is-default-class"
	betaDefaultStorageClassAnnotation = "storageclass.beta.kubernetes.io/is-default-class"
)

// defaultStorageClass gives claims that name no class the class marked as default.
type defaultStorageClass struct {
	*admission.Handler
	classes storagelisters.StorageClassLister
}

func newDefaultStorageClass(io.Reader) (admission.Interface, error) {
	return &defaultStorageClass{Handler: admission.NewHandler(admission.Create)}, nil
}

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *defaultStorageClass) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Storage().V1().StorageClasses()
	p.classes = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *defaultStorageClass) ValidateInitialization() error {
	return needs(p.classes, "StorageClasses")
}

// Admit implements admission.MutationInterface. Without a default class the claim stays as it is; the volume binder
// sets the class when there is one.
func (p *defaultStorageClass) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "persistentvolumeclaims") {
		return nil
	}
	claim, err := object[*corev1.PersistentVolumeClaim](a)
	if err != nil {
		return err
	}
	if _, ok := claim.Annotations[corev1.BetaStorageClassAnnotation]; ok || claim.Spec.StorageClassName != nil {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	classes, err := p.classes.List(labels.Everything())
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	classes = slices.DeleteFunc(slices.Clone(classes), func(c *storagev1.StorageClass) bool {
		return c.Annotations[defaultStorageClassAnnotation] != "true" && c.Annotations[betaDefaultStorageClassAnnotation] != "true"
	})
	if len(classes) == 0 {
		return nil
	}
	// Several defaults are what is left of a change of default: the newest is meant.
	newest := slices.MaxFunc(classes, func(x, y *storagev1.StorageClass) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(y.Name, x.Name))
	})
	claim.Spec.StorageClassName = &newest.Name
	return nil
}
