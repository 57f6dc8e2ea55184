package admission

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"sigs.k8s.io/yaml"
)

// podNodeSelectorAnnotation of a namespace holds the node selector of its pods.
const podNodeSelectorAnnotation = "scheduler.alpha.kubernetes.io/node-selector"

// clusterDefaultSelector in the configuration holds for namespaces without the annotation.
const clusterDefaultSelector = "clusterDefaultNodeSelector"

// podNodeSelector keeps the pods of a namespace on certain nodes. The configuration gives a default and, by namespace,
// what selectors are allowed.
type podNodeSelector struct {
	*admission.Handler
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
	config     map[string]string
}

func newPodNodeSelector(config io.Reader) (admission.Interface, error) {
	p := &podNodeSelector{Handler: admission.NewHandler(admission.Create)}
	if config == nil {
		return p, nil
	}
	data, err := io.ReadAll(config)
	if err != nil {
		return nil, err
	}
	var c struct {
		Config map[string]string `json:"podNodeSelectorPluginConfig"`
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return nil, fmt.Errorf("PodNodeSelector configuration: %w", err)
	}
	for name, selector := range c.Config {
		if _, err := labels.ConvertSelectorToLabelsMap(selector); err != nil {
			return nil, fmt.Errorf("PodNodeSelector configuration: podNodeSelectorPluginConfig.%s: %w", name, err)
		}
	}
	p.config = c.Config
	return p, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *podNodeSelector) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *podNodeSelector) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().Namespaces()
	p.namespaces = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *podNodeSelector) ValidateInitialization() error { return needs(p.namespaces, "namespaces") }

// Admit implements admission.MutationInterface.
func (p *podNodeSelector) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	wanted, err := p.selector(ctx, a)
	if err != nil {
		return err
	}
	if labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), pod.Name, errors.New("pod node label selector conflicts with its namespace node label selector"))
	}
	if merged := labels.Merge(wanted, pod.Spec.NodeSelector); len(merged) > 0 {
		pod.Spec.NodeSelector = merged
	}
	return p.Validate(ctx, a, nil)
}

// Validate implements admission.ValidationInterface.
func (p *podNodeSelector) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	wanted, err := p.selector(ctx, a)
	if err != nil {
		return err
	}
	if labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), pod.Name, errors.New("pod node label selector conflicts with its namespace node label selector"))
	}
	allowed, err := labels.ConvertSelectorToLabelsMap(p.config[a.GetNamespace()])
	if err != nil {
		return err
	}
	if len(allowed) > 0 && !isSubset(pod.Spec.NodeSelector, allowed) {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), pod.Name, errors.New("pod node label selector labels conflict with its namespace whitelist"))
	}
	return nil
}

// selector is what the namespace asks for.
func (p *podNodeSelector) selector(ctx context.Context, a admission.Attributes) (labels.Set, error) {
	if !p.WaitForReady() {
		return nil, admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	ns, err := p.namespaces.Get(a.GetNamespace())
	if apierrors.IsNotFound(err) {
		ns, err = p.client.CoreV1().Namespaces().Get(ctx, a.GetNamespace(), metav1.GetOptions{})
	}
	if err != nil {
		return nil, err
	}
	text, ok := ns.Annotations[podNodeSelectorAnnotation]
	if !ok {
		text = p.config[clusterDefaultSelector]
	}
	return labels.ConvertSelectorToLabelsMap(text)
}

// isSubset reports whether each label of set is in of.
func isSubset(set, of labels.Set) bool {
	for k, v := range set {
		if w, ok := of[k]; !ok || v != w {
			return false
		}
	}
	return true
}
