package admission

import (
	"context"
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	storagelisters "k8s.io/client-go/listers/storage/v1"
)

// claimResize lets a claim grow only when it is bound and its class allows growth.
type claimResize struct {
	*admission.Handler
	client  kubernetes.Interface
	classes storagelisters.StorageClassLister
}

func newClaimResize(io.Reader) (admission.Interface, error) {
	return &claimResize{Handler: admission.NewHandler(admission.Update)}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *claimResize) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *claimResize) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Storage().V1().StorageClasses()
	p.classes = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *claimResize) ValidateInitialization() error { return needs(p.classes, "StorageClasses") }

// Validate implements admission.ValidationInterface.
func (p *claimResize) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "persistentvolumeclaims") {
		return nil
	}
	claim, err := object[*corev1.PersistentVolumeClaim](a)
	if err != nil {
		return err
	}
	old, err := oldObject[*corev1.PersistentVolumeClaim](a)
	if err != nil {
		return err
	}
	before, after := old.Spec.Resources.Requests[corev1.ResourceStorage], claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if before.Cmp(after) >= 0 {
		return nil
	}
	if old.Status.Phase != corev1.ClaimBound {
		return admission.NewForbidden(a, errors.New("Only bound persistent volume claims can be expanded")) //nolint:staticcheck // text that users know
	}
	allowed, err := p.expandable(ctx, a, claim, old)
	if err != nil {
		return err
	}
	if !allowed {
		return admission.NewForbidden(a, errors.New("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"))
	}
	return nil
}

func (p *claimResize) expandable(ctx context.Context, a admission.Attributes, claim, old *corev1.PersistentVolumeClaim) (bool, error) {
	name := className(claim)
	if name == "" || name != className(old) {
		return false, nil
	}
	if !p.WaitForReady() {
		return false, admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	class, err := p.classes.Get(name)
	if apierrors.IsNotFound(err) {
		class, err = p.client.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion, nil
}

// className is the class of a claim, by annotation or field.
func className(c *corev1.PersistentVolumeClaim) string {
	if name, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	if c.Spec.StorageClassName != nil {
		return *c.Spec.StorageClassName
	}
	return ""
}
