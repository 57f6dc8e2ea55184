package protection

import (
	"context"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// livePods asks the server for the pods of a namespace before an object is let go: the cache may lag behind a pod that has just begun
// to use it. A list that was begun after an object's deletion was known, and has no pod with it, is an answer for good: no pod begins
// to use it any more. So objects that are deleted together share a list.
type livePods[T object] struct {
	client kubernetes.Interface
	// uses tells whether a pod uses the object, and may whether it uses any.
	uses func(*v1.Pod, T) bool
	may  func(*v1.Pod) bool

	mu    sync.Mutex
	step  int
	noted map[reconcile.Key]note
	lists map[string]podList
}

// note is when the deletion of an object became known.
type note struct {
	uid  types.UID
	step int
}

type podList struct {
	begun int
	pods  []v1.Pod // those that may use an object
}

func newLivePods[T object](client kubernetes.Interface, uses func(*v1.Pod, T) bool, may func(*v1.Pod) bool) *livePods[T] {
	return &livePods[T]{client: client, uses: uses, may: may, noted: map[reconcile.Key]note{}, lists: map[string]podList{}}
}

// note is told of an object that is being deleted.
func (l *livePods[T]) note(o T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := reconcile.KeyOf(o); l.noted[key].uid != o.GetUID() {
		l.step++
		l.noted[key] = note{o.GetUID(), l.step}
	}
}

// forget is called when an object is gone.
func (l *livePods[T]) forget(key reconcile.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.noted, key)
}

// use tells whether the server has a pod that uses the object.
func (l *livePods[T]) use(ctx context.Context, o T) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock() // others wait for this list, which will do for them too
	namespace := o.GetNamespace()
	used := func(list podList) bool {
		return slices.ContainsFunc(list.pods, func(pod v1.Pod) bool { return l.uses(&pod, o) })
	}
	list, noted := l.lists[namespace], l.noted[reconcile.KeyOf(o)]
	if noted.uid == o.GetUID() && list.begun > noted.step && !used(list) {
		return false, nil
	}
	l.step++
	list = podList{begun: l.step}
	found, err := l.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	for _, pod := range found.Items {
		if l.may(&pod) {
			list.pods = append(list.pods, pod)
		}
	}
	l.lists = map[string]podList{namespace: list} // one is enough: objects of a namespace go together
	return used(list), nil
}
