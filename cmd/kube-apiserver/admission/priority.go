package admission

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	schedulinglisters "k8s.io/client-go/listers/scheduling/v1"
)

// priority turns the name of a PriorityClass into spec.priority and spec.preemptionPolicy of a pod, and keeps the
// global default unique.
type priority struct {
	*admission.Handler
	client  kubernetes.Interface
	classes schedulinglisters.PriorityClassLister
}

func newPriority(io.Reader) (admission.Interface, error) {
	return &priority{Handler: admission.NewHandler(admission.Create, admission.Update)}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *priority) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *priority) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Scheduling().V1().PriorityClasses()
	p.classes = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *priority) ValidateInitialization() error {
	if err := needs(p.client, "a client"); err != nil {
		return err
	}
	return needs(p.classes, "PriorityClasses")
}

// Admit implements admission.MutationInterface.
func (p *priority) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	if a.GetOperation() == admission.Update {
		old, err := oldObject[*corev1.Pod](a)
		if err != nil {
			return err
		}
		// Clients that do not know the fields leave them out; they cannot be changed anyway.
		if pod.Spec.Priority == nil {
			pod.Spec.Priority = old.Spec.Priority
		}
		if pod.Spec.PreemptionPolicy == nil {
			pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
		}
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	return p.create(ctx, a, pod)
}

func (p *priority) create(ctx context.Context, a admission.Attributes, pod *corev1.Pod) error {
	value, policy := int32(0), corev1.PreemptLowerPriority
	var class *schedulingv1.PriorityClass
	var err error
	if pod.Spec.PriorityClassName == "" {
		if class, err = p.globalDefault(); err != nil {
			return fmt.Errorf("failed to get default priority class: %w", err)
		}
	} else if class, err = p.class(ctx, pod.Spec.PriorityClassName); err != nil {
		if apierrors.IsNotFound(err) {
			return admission.NewForbidden(a, fmt.Errorf("no PriorityClass with name %v was found", pod.Spec.PriorityClassName))
		}
		return fmt.Errorf("failed to get PriorityClass with name %s: %w", pod.Spec.PriorityClassName, err)
	}
	if class != nil {
		pod.Spec.PriorityClassName = class.Name
		value = class.Value
		if class.PreemptionPolicy != nil {
			policy = *class.PreemptionPolicy
		}
	}
	if pod.Spec.Priority != nil && *pod.Spec.Priority != value {
		return admission.NewForbidden(a, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *pod.Spec.Priority, value))
	}
	if pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy != policy {
		return admission.NewForbidden(a, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *pod.Spec.PreemptionPolicy, policy))
	}
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = &value, &policy
	return nil
}

// class returns a class by name; one that was made a moment ago may not be in the cache yet.
func (p *priority) class(ctx context.Context, name string) (*schedulingv1.PriorityClass, error) {
	class, err := p.classes.Get(name)
	if apierrors.IsNotFound(err) {
		return p.client.SchedulingV1().PriorityClasses().Get(ctx, name, metav1.GetOptions{})
	}
	return class, err
}

// globalDefault returns the class for pods that name none, or nil. Should two servers have let two defaults in, the
// lower one counts.
func (p *priority) globalDefault() (*schedulingv1.PriorityClass, error) {
	all, err := p.classes.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	defaults := slices.DeleteFunc(slices.Clone(all), func(c *schedulingv1.PriorityClass) bool { return !c.GlobalDefault })
	if len(defaults) == 0 {
		return nil, nil
	}
	return slices.MinFunc(defaults, func(x, y *schedulingv1.PriorityClass) int {
		return cmp.Or(cmp.Compare(x.Value, y.Value), cmp.Compare(x.Name, y.Name))
	}), nil
}

// Validate implements admission.ValidationInterface.
func (p *priority) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "scheduling.k8s.io", "priorityclasses") {
		return nil
	}
	class, err := object[*schedulingv1.PriorityClass](a)
	if err != nil {
		return err
	}
	if !class.GlobalDefault {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	existing, err := p.globalDefault()
	if err != nil {
		return fmt.Errorf("failed to get default priority class: %w", err)
	}
	if existing != nil && (a.GetOperation() == admission.Create || existing.Name != class.Name) {
		return admission.NewForbidden(a, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", existing.Name))
	}
	return nil
}
