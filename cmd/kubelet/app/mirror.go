package app

import (
	"context"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/images"
)

// ensureMirror makes the API show a static pod, and replaces an image of an older manifest.
func (k *Kubelet) ensureMirror(ctx context.Context, pod *v1.Pod) error {
	node := k.NodeObject()
	if k.Client == nil || node == nil {
		return nil // there is nobody to show it to yet
	}
	if have := k.Desired.Mirror(pod); have != nil {
		if have.Annotations[desired.AnnotationMirror] == pod.Annotations[desired.AnnotationHash] && have.DeletionTimestamp == nil {
			return nil
		}
		zero := int64(0)
		err := k.Client.CoreV1().Pods(have.Namespace).Delete(ctx, have.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: metav1.NewUIDPreconditions(string(have.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	mirror := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, Annotations: map[string]string{}}, Spec: *pod.Spec.DeepCopy()}
	for key, value := range pod.Annotations {
		mirror.Annotations[key] = value
	}
	mirror.Annotations[desired.AnnotationMirror] = pod.Annotations[desired.AnnotationHash]
	controller := true
	mirror.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: &controller}}
	made, err := k.Client.CoreV1().Pods(pod.Namespace).Create(ctx, mirror, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	// The watch may be slow after the API server was away: the status need not wait for it.
	k.Desired.Update(desired.API, made)
	return nil
}

func (k *Kubelet) deleteMirror(ctx context.Context, pod *v1.Pod) {
	mirror := k.Desired.Mirror(pod)
	if mirror == nil || k.Client == nil || mirror.Annotations[desired.AnnotationMirror] != pod.Annotations[desired.AnnotationHash] {
		return
	}
	zero := int64(0)
	if err := k.Client.CoreV1().Pods(mirror.Namespace).Delete(ctx, mirror.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil && !apierrors.IsNotFound(err) {
		klog.FromContext(ctx).Info("The mirror of a static pod that is gone cannot be deleted yet", "pod", klog.KObj(mirror), "reason", err.Error())
	}
}

// StatusTarget is the API's object for a pod: the mirror of a static one; false: the API has none. That the watch tells:
// a request for a pod that is gone is answered "forbidden", not "not found", as the pod is no longer this node's.
func (k *Kubelet) StatusTarget(pod *v1.Pod) (types.NamespacedName, types.UID, bool) {
	if !desired.IsStatic(pod) {
		if k.Desired.Get(pod.UID) == nil {
			return types.NamespacedName{}, "", false
		}
		return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, pod.UID, true
	}
	mirror := k.Desired.Mirror(pod)
	if mirror == nil {
		return types.NamespacedName{}, "", false
	}
	return types.NamespacedName{Namespace: mirror.Namespace, Name: mirror.Name}, mirror.UID, true
}

func (k *Kubelet) removePodDir(uid types.UID) error {
	return os.RemoveAll(filepath.Join(k.RootDir, "pods", string(uid)))
}

func containerReference(pod *v1.Pod, container string) *v1.ObjectReference {
	return images.ContainerReference(pod, container)
}
