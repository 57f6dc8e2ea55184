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
	corelisters "k8s.io/client-go/listers/core/v1"
)

// podTopologyLabels copies zone and region of the node to the pod when it is bound, so that the downward API can tell
// a program where it runs (KEP-4742).
type podTopologyLabels struct {
	*admission.Handler
	client kubernetes.Interface
	nodes  corelisters.NodeLister
}

func newPodTopologyLabels(io.Reader) (admission.Interface, error) {
	return &podTopologyLabels{Handler: admission.NewHandler(admission.Create)}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *podTopologyLabels) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *podTopologyLabels) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().Nodes()
	p.nodes = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *podTopologyLabels) ValidateInitialization() error { return needs(p.nodes, "nodes") }

// Admit implements admission.MutationInterface. Labels of a Binding become those of the pod.
func (p *podTopologyLabels) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	var meta metav1.Object
	var nodeName string
	switch {
	case isSub(a, "", "pods", "binding") || is(a, "", "bindings"):
		b, err := object[*corev1.Binding](a)
		if err != nil {
			return err
		}
		if b.Target.Kind != "" && b.Target.Kind != "Node" {
			return nil
		}
		meta, nodeName = b, b.Target.Name
	case is(a, "", "pods"):
		pod, err := object[*corev1.Pod](a)
		if err != nil {
			return err
		}
		meta, nodeName = pod, pod.Spec.NodeName
	}
	if nodeName == "" {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	node, err := p.nodes.Get(nodeName)
	if apierrors.IsNotFound(err) {
		node, err = p.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil // a pod may name a node that joins later
	}
	if err != nil {
		return err
	}
	labels := meta.GetLabels()
	for _, name := range []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion} {
		value, ok := node.Labels[name]
		if !ok {
			continue
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[name] = value
	}
	meta.SetLabels(labels)
	return nil
}
