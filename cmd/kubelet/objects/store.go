package objects

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// syncTimeout is how long a read waits for the first list of an object.
const syncTimeout = 5 * time.Second

// kind tells the two resources apart.
type kind string

const (
	configMaps kind = "configmaps"
	secrets    kind = "secrets"
)

// ref names one object.
type ref struct {
	kind            kind
	namespace, name string
}

func (r ref) String() string { return fmt.Sprintf("%s %s/%s", r.kind, r.namespace, r.name) }

// Store is the cache. Use says which objects a pod needs, Release that it needs none any more.
type Store struct {
	client  kubernetes.Interface // nil: a kubelet without an API server
	changed func(types.UID)
	ctx     context.Context
	stop    context.CancelFunc

	mu      sync.Mutex
	entries map[ref]*entry
	pods    map[types.UID]map[ref]struct{}
}

// New returns an empty store. changed is called, from any goroutine, for each pod whose object was added, changed or
// deleted after the store had it first. With a nil client every read is an error that says so.
func New(ctx context.Context, client kubernetes.Interface, changed func(pod types.UID)) *Store {
	ctx, stop := context.WithCancel(ctx)
	return &Store{client: client, changed: changed, ctx: ctx, stop: stop, entries: map[ref]*entry{}, pods: map[types.UID]map[ref]struct{}{}}
}

// Use opens the watches that the pod needs and closes those it no longer does. It may be called again when the pod
// changed.
func (s *Store) Use(pod *v1.Pod) {
	if s.client == nil {
		return
	}
	wanted := references(pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.pods[pod.UID]
	for r := range wanted {
		if _, has := before[r]; has {
			continue
		}
		e := s.entries[r]
		if e == nil {
			e = s.open(r)
			s.entries[r] = e
		}
		e.users[pod.UID] = struct{}{}
	}
	for r := range before {
		if _, still := wanted[r]; !still {
			s.leave(r, pod.UID)
		}
	}
	s.pods[pod.UID] = wanted
}

// Release ends what Use began.
func (s *Store) Release(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.pods[uid] {
		s.leave(r, uid)
	}
	delete(s.pods, uid)
}

// leave closes the watch of r when uid was its last user. The caller holds mu.
func (s *Store) leave(r ref, uid types.UID) {
	e := s.entries[r]
	if e == nil {
		return
	}
	delete(e.users, uid)
	if len(e.users) == 0 {
		e.close()
		delete(s.entries, r)
	}
}

// Secret gives a Secret that some pod in use refers to. The object is shared: do not change it.
func (s *Store) Secret(namespace, name string) (*v1.Secret, error) {
	obj, err := s.get(ref{secrets, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*v1.Secret), nil
}

// ConfigMap gives a ConfigMap that some pod in use refers to. The object is shared: do not change it.
func (s *Store) ConfigMap(namespace, name string) (*v1.ConfigMap, error) {
	obj, err := s.get(ref{configMaps, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*v1.ConfigMap), nil
}

func (s *Store) get(r ref) (runtime.Object, error) {
	if s.client == nil {
		return nil, fmt.Errorf("%s cannot be read: this kubelet has no --kubeconfig", r)
	}
	s.mu.Lock()
	e := s.entries[r]
	s.mu.Unlock()
	if e == nil {
		return nil, fmt.Errorf("object %q/%q not registered", r.namespace, r.name)
	}
	ctx, cancel := context.WithTimeout(s.ctx, syncTimeout)
	defer cancel()
	select {
	case <-e.synced:
	case <-ctx.Done():
		if err := e.lastError(); err != nil {
			return nil, fmt.Errorf("failed to sync %s cache: %w", r.kind.singular(), err)
		}
		return nil, fmt.Errorf("failed to sync %s cache: timed out waiting for the condition", r.kind.singular())
	}
	if obj := e.current(); obj != nil {
		return obj, nil
	}
	// The watch may lag behind a pod that was created after its object; absence is worth one live look.
	return s.live(ctx, r)
}

func (s *Store) live(ctx context.Context, r ref) (obj runtime.Object, err error) {
	if r.kind == secrets {
		obj, err = s.client.CoreV1().Secrets(r.namespace).Get(ctx, r.name, metav1.GetOptions{})
	} else {
		obj, err = s.client.CoreV1().ConfigMaps(r.namespace).Get(ctx, r.name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(v1.Resource(r.kind.singular()), r.name) // in the words that events of pods use
	}
	return obj, err
}

func (k kind) singular() string {
	if k == secrets {
		return "secret"
	}
	return "configmap"
}

// notify tells the users of e that it changed.
func (s *Store) notify(e *entry) {
	if s.changed == nil {
		return
	}
	s.mu.Lock()
	users := make([]types.UID, 0, len(e.users))
	for uid := range e.users {
		users = append(users, uid)
	}
	s.mu.Unlock()
	for _, uid := range users {
		s.changed(uid)
	}
}

// Close ends all watches.
func (s *Store) Close() { s.stop() }
