package serviceaccount

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Lookup finds the objects that tokens name. It asks the cache first and the API when the cache does not know the
// object or knows one of another UID: a cache may lag behind, and a token of a new object must work at once.
// Secrets are always read from the API; only tokens of Secrets need them, and a cache would hold every Secret twice.
type Lookup struct {
	ServiceAccounts corelisters.ServiceAccountLister
	Pods            corelisters.PodLister
	Nodes           corelisters.NodeLister
	Client          kubernetes.Interface
}

type identified interface{ GetUID() types.UID }

func find[T identified](uid string, cached func() (T, error), live func() (T, error)) (T, error) {
	obj, err := cached()
	if err == nil && (uid == "" || string(obj.GetUID()) == uid) {
		return obj, nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return obj, err
	}
	return live()
}

// ServiceAccount returns the service account; uid may be empty.
func (l *Lookup) ServiceAccount(ctx context.Context, namespace, name, uid string) (*corev1.ServiceAccount, error) {
	return find(uid,
		func() (*corev1.ServiceAccount, error) { return l.ServiceAccounts.ServiceAccounts(namespace).Get(name) },
		func() (*corev1.ServiceAccount, error) {
			return l.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		})
}

// Pod returns the pod; uid may be empty.
func (l *Lookup) Pod(ctx context.Context, namespace, name, uid string) (*corev1.Pod, error) {
	return find(uid,
		func() (*corev1.Pod, error) { return l.Pods.Pods(namespace).Get(name) },
		func() (*corev1.Pod, error) {
			return l.Client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		})
}

// Node returns the node; uid may be empty.
func (l *Lookup) Node(ctx context.Context, name, uid string) (*corev1.Node, error) {
	return find(uid,
		func() (*corev1.Node, error) { return l.Nodes.Get(name) },
		func() (*corev1.Node, error) { return l.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}) })
}

// Secret returns the Secret.
func (l *Lookup) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return l.Client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
}
