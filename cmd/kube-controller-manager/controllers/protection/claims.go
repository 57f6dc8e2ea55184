package protection

import (
	"context"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

// NewClaims makes the controller of PersistentVolumeClaims.
func NewClaims(f informers.SharedInformerFactory, client kubernetes.Interface, o Options) (*reconcile.Controller, error) {
	claims, pods := f.Core().V1().PersistentVolumeClaims(), f.Core().V1().Pods()
	users, err := claimusers.New(pods.Informer())
	if err != nil {
		return nil, err
	}
	live := &livePods{client: client, noted: map[reconcile.Key]note{}, lists: map[string]podList{}}
	g := &guard[*v1.PersistentVolumeClaim]{
		finalizer: "kubernetes.io/pvc-protection", informer: claims.Informer(),
		get: func(key reconcile.Key) (*v1.PersistentVolumeClaim, error) {
			claim, err := claims.Lister().PersistentVolumeClaims(key.Namespace).Get(key.Name)
			if err != nil {
				live.forget(key)
			}
			return claim, err
		},
		update: func(ctx context.Context, c *v1.PersistentVolumeClaim) (*v1.PersistentVolumeClaim, error) {
			return client.CoreV1().PersistentVolumeClaims(c.Namespace).Update(ctx, c, metav1.UpdateOptions{})
		},
		inUse: func(ctx context.Context, c *v1.PersistentVolumeClaim) (bool, error) {
			for _, pod := range users.Of(reconcile.KeyOf(c)) {
				if holds(pod, c) {
					return true, nil
				}
			}
			return live.use(ctx, c)
		},
	}
	g.Controller = reconcile.New("pvcprotection", reconcile.Func(g.reconcile), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	g.Watch(g.informer, func(obj any) []reconcile.Key {
		if c, ok := obj.(*v1.PersistentVolumeClaim); ok && c.DeletionTimestamp != nil {
			live.note(c)
		}
		return reconcile.ObjectKey(obj)
	})
	g.Watch(pods.Informer(), claimusers.Claims)
	return g.Controller, nil
}

// holds tells whether a pod uses the claim. A pod without a node cannot begin to: neither the scheduler nor the kubelet take a
// claim that is being deleted.
func holds(pod *v1.Pod, c *v1.PersistentVolumeClaim) bool {
	if pod.Spec.NodeName == "" {
		return false
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if claimusers.ClaimName(pod, v) != c.Name {
			continue
		}
		if v.PersistentVolumeClaim != nil || !shutDown(pod) && ephemeral.VolumeIsForPod(pod, c) == nil {
			return true
		}
	}
	return false
}

// shutDown tells whether the node is done with a pod that waits for its finalizers, which may be the deletion of this very claim.
func shutDown(pod *v1.Pod) bool {
	return pod.DeletionTimestamp != nil && ptr.Deref(pod.DeletionGracePeriodSeconds, -1) == 0
}

// livePods asks the server for the pods of a namespace before a claim is let go: the cache may lag behind a pod that just got its
// node. A list that was begun after a claim's deletion was known, and has no pod with it, is an answer for good: no pod can begin to
// use it. So claims that are deleted together share a list.
type livePods struct {
	client kubernetes.Interface

	mu    sync.Mutex
	step  int
	noted map[reconcile.Key]note
	lists map[string]podList
}

// note is when the deletion of a claim became known.
type note struct {
	uid  types.UID
	step int
}

type podList struct {
	begun int
	pods  []v1.Pod // those that have a claim and a node
}

func (l *livePods) note(c *v1.PersistentVolumeClaim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := reconcile.KeyOf(c); l.noted[key].uid != c.UID {
		l.step++
		l.noted[key] = note{c.UID, l.step}
	}
}

func (l *livePods) forget(key reconcile.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.noted, key)
}

func (l *livePods) use(ctx context.Context, c *v1.PersistentVolumeClaim) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock() // others wait for this list, which will do for them too
	list, noted := l.lists[c.Namespace], l.noted[reconcile.KeyOf(c)]
	if noted.uid == c.UID && list.begun > noted.step && !list.holds(c) {
		return false, nil
	}
	l.step++
	list = podList{begun: l.step}
	found, err := l.client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	for _, pod := range found.Items {
		if pod.Spec.NodeName != "" && len(claimusers.Claims(&pod)) > 0 {
			list.pods = append(list.pods, pod)
		}
	}
	l.lists = map[string]podList{c.Namespace: list} // one is enough: claims of a namespace go together
	return list.holds(c), nil
}

func (l podList) holds(c *v1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(l.pods, func(pod v1.Pod) bool { return holds(&pod, c) })
}
