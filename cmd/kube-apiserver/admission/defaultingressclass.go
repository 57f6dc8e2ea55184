package admission

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
)

// formerIngressClassAnnotation is how an Ingress named its class before there was a field.
const formerIngressClassAnnotation = "kubernetes.io/ingress.class"

// defaultIngressClass gives Ingresses that name no class the class marked as default.
type defaultIngressClass struct {
	*admission.Handler
	classes networkinglisters.IngressClassLister
}

func newDefaultIngressClass(io.Reader) (admission.Interface, error) {
	return &defaultIngressClass{Handler: admission.NewHandler(admission.Create)}, nil
}

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *defaultIngressClass) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Networking().V1().IngressClasses()
	p.classes = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *defaultIngressClass) ValidateInitialization() error {
	return needs(p.classes, "IngressClasses")
}

// Admit implements admission.MutationInterface.
func (p *defaultIngressClass) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "networking.k8s.io", "ingresses") {
		return nil
	}
	ingress, err := object[*networkingv1.Ingress](a)
	if err != nil {
		return err
	}
	if _, ok := ingress.Annotations[formerIngressClassAnnotation]; ok || ingress.Spec.IngressClassName != nil {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	classes, err := p.classes.List(labels.Everything())
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	classes = slices.DeleteFunc(slices.Clone(classes), func(c *networkingv1.IngressClass) bool {
		return c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true"
	})
	if len(classes) == 0 {
		return nil
	}
	newest := slices.MaxFunc(classes, func(x, y *networkingv1.IngressClass) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(y.Name, x.Name))
	})
	ingress.Spec.IngressClassName = &newest.Name
	return nil
}
