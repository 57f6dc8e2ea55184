package cluster

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// Apply makes one object be as given: it is created, or its content is replaced when it is there. What others decide about an
// existing object is kept: the replicas of a Deployment, the addresses of a Service.
func Apply(ctx context.Context, client kubernetes.Interface, object runtime.Object) error {
	switch o := object.(type) {
	case *corev1.Namespace:
		return put(ctx, client.CoreV1().Namespaces(), o, func(have, want *corev1.Namespace) { want.Spec = have.Spec })
	case *corev1.ConfigMap:
		return put(ctx, client.CoreV1().ConfigMaps(o.Namespace), o, nil)
	case *corev1.Secret:
		return put(ctx, client.CoreV1().Secrets(o.Namespace), o, nil)
	case *corev1.ServiceAccount:
		return put(ctx, client.CoreV1().ServiceAccounts(o.Namespace), o, func(have, want *corev1.ServiceAccount) { want.Secrets = have.Secrets })
	case *corev1.Service:
		return put(ctx, client.CoreV1().Services(o.Namespace), o, keepAddresses)
	case *appsv1.Deployment:
		return put(ctx, client.AppsV1().Deployments(o.Namespace), o, func(have, want *appsv1.Deployment) { want.Spec.Replicas = have.Spec.Replicas })
	case *appsv1.DaemonSet:
		return put(ctx, client.AppsV1().DaemonSets(o.Namespace), o, nil)
	case *rbacv1.Role:
		return put(ctx, client.RbacV1().Roles(o.Namespace), o, nil)
	case *rbacv1.RoleBinding:
		return put(ctx, client.RbacV1().RoleBindings(o.Namespace), o, nil)
	case *rbacv1.ClusterRole:
		return put(ctx, client.RbacV1().ClusterRoles(), o, nil)
	case *rbacv1.ClusterRoleBinding:
		return put(ctx, client.RbacV1().ClusterRoleBindings(), o, nil)
	}
	return fmt.Errorf("objects of type %T are not applied by kubeadm", object)
}

// ApplyAll applies objects in order.
func ApplyAll(ctx context.Context, client kubernetes.Interface, objects ...runtime.Object) error {
	for _, object := range objects {
		if err := Apply(ctx, client, object); err != nil {
			return err
		}
	}
	return nil
}

// CreateMissing creates an object and leaves one that is there as it is; it is for what users edit afterwards.
func CreateMissing(ctx context.Context, client kubernetes.Interface, object *corev1.ConfigMap) error {
	_, err := client.CoreV1().ConfigMaps(object.Namespace).Create(ctx, object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return describe(object, err)
	}
	return nil
}

func keepAddresses(have, want *corev1.Service) {
	want.Spec.ClusterIP, want.Spec.ClusterIPs = have.Spec.ClusterIP, have.Spec.ClusterIPs
	want.Spec.IPFamilies, want.Spec.IPFamilyPolicy = have.Spec.IPFamilies, have.Spec.IPFamilyPolicy
}

// store is what a typed client of client-go offers for one kind.
type store[T any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (T, error)
	Create(ctx context.Context, object T, opts metav1.CreateOptions) (T, error)
	Update(ctx context.Context, object T, opts metav1.UpdateOptions) (T, error)
}

type object interface {
	runtime.Object
	metav1.Object
}

// put creates or replaces. A binding whose role differs cannot be updated; that error reaches the user as it is.
func put[T object](ctx context.Context, in store[T], want T, keep func(have, want T)) error {
	_, err := in.Create(ctx, want, metav1.CreateOptions{})
	if err == nil {
		return nil
	}
	// A Service that asks for a fixed address is Invalid, not AlreadyExists, when it is there: its address is taken, by itself.
	invalid := apierrors.IsInvalid(err)
	if !apierrors.IsAlreadyExists(err) && !invalid {
		return describe(want, err)
	}
	have, getErr := in.Get(ctx, want.GetName(), metav1.GetOptions{})
	if invalid && apierrors.IsNotFound(getErr) {
		return describe(want, err)
	}
	if getErr != nil {
		return describe(want, getErr)
	}
	next := want.DeepCopyObject().(T)
	if keep != nil {
		keep(have, next)
	}
	next.SetResourceVersion(have.GetResourceVersion())
	next.SetUID(have.GetUID())
	if equality.Semantic.DeepEqual(have, next) {
		return nil
	}
	if _, err := in.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
		return describe(want, err)
	}
	return nil
}

// describe says which object a request was about.
func describe(object runtime.Object, err error) error {
	accessor, accessErr := meta.Accessor(object)
	if accessErr != nil {
		return err
	}
	name := accessor.GetName()
	if accessor.GetNamespace() != "" {
		name = accessor.GetNamespace() + "/" + name
	}
	return fmt.Errorf("writing %T %s: %w", object, name, err)
}
