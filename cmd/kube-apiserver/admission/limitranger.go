package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/clock"
)

// limitRangerAnnotation tells the user which values a LimitRange set.
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// limitRanger sets default requests and limits of containers and refuses pods and claims beyond the limits of their
// namespace.
type limitRanger struct {
	*admission.Handler
	client kubernetes.Interface
	limits corelisters.LimitRangeLister
	recent *recentLists[corev1.LimitRange]
}

func newLimitRanger(io.Reader) (admission.Interface, error) {
	return &limitRanger{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		recent:  newRecentLists[corev1.LimitRange](clock.RealClock{}),
	}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *limitRanger) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *limitRanger) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().LimitRanges()
	p.limits = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *limitRanger) ValidateInitialization() error {
	if err := needs(p.client, "a client"); err != nil {
		return err
	}
	return needs(p.limits, "LimitRanges")
}

// Admit implements admission.MutationInterface.
func (p *limitRanger) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "pods") || a.GetOperation() != admission.Create {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	ranges, err := p.ranges(ctx, a)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		setContainerDefaults(pod, r)
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *limitRanger) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	var check func(*corev1.LimitRangeItem) []error
	switch {
	case (is(a, "", "pods") && a.GetOperation() == admission.Create) || isSub(a, "", "pods", "resize"):
		pod, err := object[*corev1.Pod](a)
		if err != nil {
			return err
		}
		check = func(item *corev1.LimitRangeItem) []error { return podFaults(pod, item) }
	case is(a, "", "persistentvolumeclaims"):
		claim, err := object[*corev1.PersistentVolumeClaim](a)
		if err != nil {
			return err
		}
		if claim.DeletionTimestamp != nil {
			return nil // what is going must be able to lose its finalizers
		}
		check = func(item *corev1.LimitRangeItem) []error { return claimFaults(claim, item) }
	default:
		return nil
	}
	ranges, err := p.ranges(ctx, a)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		var errs []error
		for i := range r.Spec.Limits {
			errs = append(errs, check(&r.Spec.Limits[i])...)
		}
		if len(errs) > 0 {
			return admission.NewForbidden(a, utilerrors.NewAggregate(errs))
		}
	}
	return nil
}

// ranges returns the LimitRanges of the namespace. When the cache has none, the API is asked, because the first
// LimitRange must hold for the first pod after it.
func (p *limitRanger) ranges(ctx context.Context, a admission.Attributes) ([]*corev1.LimitRange, error) {
	if !p.WaitForReady() {
		return nil, admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	items, err := p.limits.LimitRanges(a.GetNamespace()).List(labels.Everything())
	if err != nil {
		return nil, admission.NewForbidden(a, fmt.Errorf("unable to %s %v at this time because there was an error enforcing limit ranges", a.GetOperation(), a.GetResource()))
	}
	if len(items) == 0 {
		items, err = p.recent.get(a.GetNamespace(), func() ([]*corev1.LimitRange, error) {
			list, err := p.client.CoreV1().LimitRanges(a.GetNamespace()).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, err
			}
			out := make([]*corev1.LimitRange, 0, len(list.Items))
			for i := range list.Items {
				out = append(out, &list.Items[i])
			}
			return out, nil
		})
		if err != nil {
			return nil, admission.NewForbidden(a, err)
		}
	}
	slices.SortFunc(items, func(x, y *corev1.LimitRange) int { return strings.Compare(x.Name, y.Name) })
	return items, nil
}

// setContainerDefaults gives containers the requests and limits that they leave open, and says so in an annotation.
func setContainerDefaults(pod *corev1.Pod, r *corev1.LimitRange) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		maps.Copy(requests, item.DefaultRequest)
		maps.Copy(limits, item.Default)
	}
	var notes []string
	for i := range pod.Spec.Containers {
		notes = append(notes, setDefaults("container", &pod.Spec.Containers[i], requests, limits)...)
	}
	for i := range pod.Spec.InitContainers {
		notes = append(notes, setDefaults("init container", &pod.Spec.InitContainers[i], requests, limits)...)
	}
	if len(notes) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(notes, "; ")
}

func setDefaults(kind string, c *corev1.Container, requests, limits corev1.ResourceList) []string {
	fill := func(into *corev1.ResourceList, from corev1.ResourceList) []string {
		var set []string
		for _, name := range slices.Sorted(maps.Keys(from)) {
			if _, ok := (*into)[name]; ok {
				continue
			}
			if *into == nil {
				*into = corev1.ResourceList{}
			}
			(*into)[name] = from[name].DeepCopy()
			set = append(set, string(name))
		}
		return set
	}
	var notes []string
	if set := fill(&c.Resources.Requests, requests); len(set) > 0 {
		notes = append(notes, fmt.Sprintf("%s request for %s %s", strings.Join(set, ", "), kind, c.Name))
	}
	if set := fill(&c.Resources.Limits, limits); len(set) > 0 {
		notes = append(notes, fmt.Sprintf("%s limit for %s %s", strings.Join(set, ", "), kind, c.Name))
	}
	return notes
}
