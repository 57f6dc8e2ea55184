package core

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerrors "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// podBinding is pods/binding: the scheduler's word on which node a pod runs. It is given once.
type podBinding struct {
	pods  *kind.Store
	rules kind.Rules
}

var (
	_ rest.NamedCreater                   = (*podBinding)(nil)
	_ rest.SubresourceObjectMetaPreserver = (*podBinding)(nil)
)

// New implements rest.Storage.
func (b *podBinding) New() runtime.Object { return &corev1.Binding{} }

// Destroy implements rest.Storage.
func (b *podBinding) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of the request: it is a precondition.
func (b *podBinding) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create implements rest.NamedCreater.
func (b *podBinding) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := b.rules.Subresource("binding", binding, nil); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), binding.Name, errs)
	}
	if admit != nil {
		if err := admit(ctx, binding.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := b.bind(ctx, binding, dryrun.IsDryRun(options.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

func (b *podBinding) bind(ctx context.Context, binding *corev1.Binding, dryRun bool) error {
	key, err := b.pods.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	preconditions := &storage.Preconditions{}
	if binding.UID != "" {
		preconditions.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		preconditions.ResourceVersion = &binding.ResourceVersion
	}
	err = b.pods.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, preconditions, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		pod := obj.(*corev1.Pod)
		return pod, place(pod, binding)
	}), dryRun, nil)
	if err == nil {
		return nil
	}
	err = storeerrors.InterpretGetError(err, corev1.Resource("pods"), binding.Name)
	err = storeerrors.InterpretUpdateError(err, corev1.Resource("pods"), binding.Name)
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		err = apierrors.NewConflict(corev1.Resource("pods/binding"), binding.Name, err)
	}
	return err
}

// place writes the node into the pod.
func place(pod *corev1.Pod, binding *corev1.Binding) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %s has non-empty .spec.schedulingGates", pod.Name)
	}
	pod.Spec.NodeName = binding.Target.Name
	merge(&pod.Annotations, binding.Annotations)
	merge(&pod.Labels, binding.Labels)
	SetPodCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation})
	pod.Status.NominatedNodeName = ""
	return nil
}

func merge(into *map[string]string, from map[string]string) {
	if len(from) > 0 && *into == nil {
		*into = make(map[string]string, len(from))
	}
	for k, v := range from {
		(*into)[k] = v
	}
}

// SetPodCondition sets a condition of a pod and its transition time when its status changed.
func SetPodCondition(s *corev1.PodStatus, c corev1.PodCondition) {
	c.LastTransitionTime = metav1.Now()
	for i := range s.Conditions {
		old := &s.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}

// Bindings is the resource bindings, the elder of pods/binding: the pod's name is that of the object.
func Bindings(env *kind.Env) (rest.Storage, error) {
	pods, err := env.Store("", "pods")
	if err != nil {
		return nil, err
	}
	return &bindings{podBinding{pods: pods, rules: env.Rules}}, nil
}

type bindings struct{ binding podBinding }

var _ rest.Creater = (*bindings)(nil)

func (b *bindings) New() runtime.Object     { return &corev1.Binding{} }
func (b *bindings) Destroy()                {}
func (b *bindings) NamespaceScoped() bool   { return true }
func (b *bindings) GetSingularName() string { return "binding" }

// Create implements rest.Creater.
func (b *bindings) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	if namespace := request.NamespaceValue(ctx); binding.Namespace != "" && binding.Namespace != namespace {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the namespace of the provided object does not match the request: %q != %q", binding.Namespace, namespace))
	}
	return b.binding.Create(ctx, binding.Name, obj, admit, options)
}
