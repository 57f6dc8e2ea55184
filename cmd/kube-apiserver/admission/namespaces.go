package admission

import (
	"context"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// namespacePlugin is what the two plugins below share.
type namespacePlugin struct {
	*admission.Handler
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *namespacePlugin) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *namespacePlugin) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().Namespaces()
	p.namespaces = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *namespacePlugin) ValidateInitialization() error {
	if err := needs(p.client, "a client"); err != nil {
		return err
	}
	return needs(p.namespaces, "namespaces")
}

// missing reports whether the namespace of the request is in neither cache nor storage.
func (p *namespacePlugin) missing(ctx context.Context, a admission.Attributes) (bool, error) {
	if a.GetNamespace() == "" || a.GetKind().GroupKind() == corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind() {
		return false, nil
	}
	if !p.WaitForReady() {
		return false, admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	_, err := p.namespaces.Get(a.GetNamespace())
	if apierrors.IsNotFound(err) {
		_, err = p.client.CoreV1().Namespaces().Get(ctx, a.GetNamespace(), metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// namespaceAutoProvision creates the namespace of a request that needs one.
type namespaceAutoProvision struct{ namespacePlugin }

func newNamespaceAutoProvision(io.Reader) (admission.Interface, error) {
	return &namespaceAutoProvision{namespacePlugin{Handler: admission.NewHandler(admission.Create)}}, nil
}

// Admit implements admission.MutationInterface.
func (p *namespaceAutoProvision) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.IsDryRun() {
		return nil
	}
	missing, err := p.missing(ctx, a)
	if err != nil || !missing {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.GetNamespace()}}
	if _, err := p.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return admission.NewForbidden(a, err)
	}
	return nil
}

// namespaceExists refuses requests in namespaces that do not exist.
type namespaceExists struct{ namespacePlugin }

func newNamespaceExists(io.Reader) (admission.Interface, error) {
	return &namespaceExists{namespacePlugin{Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete)}}, nil
}

// Validate implements admission.ValidationInterface.
func (p *namespaceExists) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	missing, err := p.missing(ctx, a)
	if err != nil {
		return err
	}
	if missing {
		return apierrors.NewNotFound(corev1.Resource("namespaces"), a.GetNamespace())
	}
	return nil
}
