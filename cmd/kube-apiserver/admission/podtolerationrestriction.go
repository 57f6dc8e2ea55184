package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"
)

// Annotations of a namespace with lists of tolerations in JSON.
const (
	defaultTolerationsAnnotation = "scheduler.alpha.kubernetes.io/defaultTolerations"
	allowedTolerationsAnnotation = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
)

// podTolerationRestriction adds the tolerations of a namespace to its pods and refuses others than are allowed there.
type podTolerationRestriction struct {
	*admission.Handler
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
	config     tolerationConfig
}

// tolerationConfig is podtolerationrestriction.admission.k8s.io/v1alpha1 Configuration.
type tolerationConfig struct {
	metav1.TypeMeta `json:",inline"`
	Default         []corev1.Toleration `json:"default,omitempty"`
	Whitelist       []corev1.Toleration `json:"whitelist,omitempty"`
}

func newPodTolerationRestriction(config io.Reader) (admission.Interface, error) {
	p := &podTolerationRestriction{Handler: admission.NewHandler(admission.Create, admission.Update)}
	if err := readConfig(config, "podtolerationrestriction.admission.k8s.io/v1alpha1", &p.config, &p.config.TypeMeta); err != nil {
		return nil, fmt.Errorf("PodTolerationRestriction configuration: %w", err)
	}
	return p, nil
}

// readConfig decodes the part of a plugin strictly and checks its kind.
func readConfig(config io.Reader, apiVersion string, into any, meta *metav1.TypeMeta) error {
	if config == nil {
		return nil
	}
	data, err := io.ReadAll(config)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		return err
	}
	if meta.APIVersion != apiVersion || meta.Kind != "Configuration" {
		return fmt.Errorf("is %s %q, want %s %q", meta.APIVersion, meta.Kind, apiVersion, "Configuration")
	}
	return nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *podTolerationRestriction) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *podTolerationRestriction) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().Namespaces()
	p.namespaces = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *podTolerationRestriction) ValidateInitialization() error {
	return needs(p.namespaces, "namespaces")
}

// Admit implements admission.MutationInterface.
func (p *podTolerationRestriction) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	defaults, _, err := p.ofNamespace(ctx, a)
	if err != nil {
		return err
	}
	if a.GetOperation() == admission.Create {
		for _, d := range defaults {
			same := false
			for _, t := range pod.Spec.Tolerations {
				if t.Key == d.Key && t.Effect == d.Effect && t.Operator != d.Operator || (t.MatchToleration(&d) && t.Value != d.Value) {
					return admission.NewForbidden(a, errors.New("namespace tolerations and pod tolerations conflict"))
				}
				same = same || t.MatchToleration(&d)
			}
			if !same {
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, d)
			}
		}
		if bestEffortMemory(pod) {
			addOnce(pod, corev1.Toleration{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	return p.Validate(ctx, a, nil)
}

// bestEffortMemory: pods of a better class stay on a node under memory pressure.
func bestEffortMemory(pod *corev1.Pod) bool {
	asks := false
	eachContainer(&pod.Spec, func(_ string, _ int, c *corev1.Container) {
		asks = asks || len(c.Resources.Requests)+len(c.Resources.Limits) > 0
	})
	return asks
}

func addOnce(pod *corev1.Pod, want corev1.Toleration) {
	for _, t := range pod.Spec.Tolerations {
		if t == want {
			return
		}
	}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, want)
}

// Validate implements admission.ValidationInterface.
func (p *podTolerationRestriction) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	_, allowed, err := p.ofNamespace(ctx, a)
	if err != nil {
		return err
	}
	if len(allowed) == 0 {
		return nil
	}
	for _, t := range pod.Spec.Tolerations {
		if !covered(t, allowed) {
			return admission.NewForbidden(a, errors.New("pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist"))
		}
	}
	return nil
}

// covered reports whether a toleration tolerates no more than one of those allowed.
func covered(t corev1.Toleration, allowed []corev1.Toleration) bool {
	for _, w := range allowed {
		if w.Effect != "" && w.Effect != t.Effect {
			continue
		}
		if w.Key != "" && w.Key != t.Key {
			continue
		}
		if w.TolerationSeconds != nil && (t.TolerationSeconds == nil || *t.TolerationSeconds > *w.TolerationSeconds) {
			continue
		}
		if w.Operator == corev1.TolerationOpExists || (t.Operator != corev1.TolerationOpExists && w.Value == t.Value && w.Key == t.Key) {
			return true
		}
	}
	return false
}

// ofNamespace returns default and allowed tolerations: those of the namespace, else of the configuration.
func (p *podTolerationRestriction) ofNamespace(ctx context.Context, a admission.Attributes) (defaults, allowed []corev1.Toleration, err error) {
	if !p.WaitForReady() {
		return nil, nil, admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	ns, err := p.namespaces.Get(a.GetNamespace())
	if apierrors.IsNotFound(err) {
		ns, err = p.client.CoreV1().Namespaces().Get(ctx, a.GetNamespace(), metav1.GetOptions{})
	}
	if err != nil {
		return nil, nil, err
	}
	read := func(annotation string, otherwise []corev1.Toleration) ([]corev1.Toleration, error) {
		text, ok := ns.Annotations[annotation]
		if !ok {
			return otherwise, nil
		}
		var out []corev1.Toleration
		if text == "" {
			return nil, nil
		}
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			klog.FromContext(ctx).Error(err, "Namespace has a wrong annotation", "namespace", ns.Name, "annotation", annotation)
			return nil, admission.NewForbidden(a, fmt.Errorf("namespace %s: annotation %s: %w", ns.Name, annotation, err))
		}
		return out, nil
	}
	if defaults, err = read(defaultTolerationsAnnotation, p.config.Default); err != nil {
		return nil, nil, err
	}
	allowed, err = read(allowedTolerationsAnnotation, p.config.Whitelist)
	return defaults, allowed, err
}
