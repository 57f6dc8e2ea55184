package pods

import (
	"context"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/pkg/reconcile"
)

// Writer writes pods on behalf of their owners: each write is told to the own-write gate of Loop, and to the user by an event.
type Writer struct {
	Client   kubernetes.Interface
	Informer cache.SharedIndexInformer
	Recorder record.EventRecorder
	Loop     *reconcile.Controller
}

// Owner is the object whose pods are written.
type Owner struct {
	Object    runtime.Object // for events
	Meta      metav1.Object
	Reference metav1.OwnerReference
}

func (o Owner) key() reconcile.Key { return reconcile.KeyOf(o.Meta) }

// Create creates pod. The events are SuccessfulCreate and FailedCreate; a namespace in termination refuses new pods as a
// matter of course, and makes no event.
func (w *Writer) Create(ctx context.Context, owner Owner, pod *v1.Pod) (*v1.Pod, error) {
	created, err := w.Client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		if !apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) && ctx.Err() == nil {
			w.Recorder.Eventf(owner.Object, v1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		}
		w.Loop.Unsure(err, w.Informer, owner.key(), func(ctx context.Context) (runtime.Object, error) {
			return w.Client.CoreV1().Pods(pod.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(pod.Labels).String()})
		})
		return nil, err
	}
	w.Loop.Wrote(w.Informer, owner.key(), created)
	klog.FromContext(ctx).V(4).Info("Pod created", "owner", klog.KObj(owner.Meta), "pod", klog.KObj(created))
	w.Recorder.Eventf(owner.Object, v1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", created.Name)
	return created, nil
}

// Delete deletes pod and no other of its name. A pod that is gone already counts as deleted. The events are SuccessfulDelete
// and FailedDelete.
func (w *Writer) Delete(ctx context.Context, owner Owner, pod *v1.Pod) error {
	err := w.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		// Gone, or replaced by a pod of the same name.
		w.Loop.Deleted(w.Informer, owner.key(), pod)
		return nil
	case err != nil:
		if ctx.Err() == nil {
			w.Recorder.Eventf(owner.Object, v1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		}
		return err
	}
	w.Loop.Deleted(w.Informer, owner.key(), pod)
	klog.FromContext(ctx).V(4).Info("Pod deleted", "owner", klog.KObj(owner.Meta), "pod", klog.KObj(pod))
	w.Recorder.Eventf(owner.Object, v1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	return nil
}

// Patch writes a patch of a pod; a pod that is gone is returned as nil without an error.
func (w *Writer) Patch(ctx context.Context, owner Owner, pod *v1.Pod, data []byte) (*v1.Pod, error) {
	patched, err := w.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w.Loop.Wrote(w.Informer, owner.key(), patched)
	return patched, nil
}

// Claim carries claim out and returns the pods that the owner has afterwards. live is asked once before anything is adopted.
// Finalizers are added to adopted and removed from released pods.
func (w *Writer) Claim(ctx context.Context, owner Owner, claim ownership.Claim[*v1.Pod], live func(context.Context) error, finalizers ...string) ([]*v1.Pod, error) {
	owned := claim.Owned
	for _, pod := range claim.Release {
		_, err := w.Patch(ctx, owner, pod, ownership.ReleasePatch(owner.Reference.UID, pod.UID, finalizers...))
		// Invalid: the reference is gone already, or the name belongs to another pod.
		if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
			return nil, err
		}
	}
	if len(claim.Adopt) == 0 {
		return owned, nil
	}
	if err := live(ctx); err != nil {
		return nil, err
	}
	for _, pod := range claim.Adopt {
		adopted, err := w.Patch(ctx, owner, pod, ownership.AdoptPatch(owner.Reference, pod.UID, finalizers...))
		if err != nil {
			return nil, err
		}
		if adopted != nil {
			owned = append(owned, adopted)
		}
	}
	return owned, nil
}
