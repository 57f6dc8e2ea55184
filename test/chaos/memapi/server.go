package memapi

import (
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Object is an object of any kind. The server's own are never changed once they are stored.
type Object = unstructured.Unstructured

// Event is one commit.
type Event struct {
	Version int64
	Time    time.Time
	Type    watch.EventType
	Kind    Kind
	Object  *Object
	Old     *Object // nil for what was added
	// Actor is who wrote it: the last part of the client's user agent.
	Actor string
}

// Server is the API server. Its methods may be called from any goroutine.
type Server struct {
	// Admit, if set, may change an object that is created or refuse it. It is called with the server locked.
	Admit func(k Kind, o *Object) error
	// Committed, if set, is told each commit with the server locked; it may use Peek and Each.
	Committed func(Event)
	// Extra, if set, may answer a request for what the server does not have, such as metrics.
	Extra func(path string, query url.Values) (any, bool)
	// Unchanged, if set, is told each write that changed nothing and is no commit, with the server locked: the real server rewrites
	// by it what is stored in another version.
	Unchanged func(actor string, k Kind, o *Object)
	// Told, if set, is told each new Event of the API, with the server locked.
	Told func(o *Object)

	kinds []Kind

	mu      sync.Mutex
	version int64
	uids    int64
	names   map[string]int
	objects map[string]map[string]*Object // by resource.group, then namespace/name
	log     []Event
	kindLog map[string]*kindLog
}

// kindLog is the commits of one kind.
type kindLog struct {
	events []Event
	more   chan struct{} // closed at the next commit
}

// New returns a server that has the namespaces default and kube-system.
func New() *Server {
	s := &Server{kinds: parseKinds(), version: 100, names: map[string]int{}, objects: map[string]map[string]*Object{}, kindLog: map[string]*kindLog{}}
	for _, k := range s.kinds {
		s.kindLog[k.id()] = &kindLog{more: make(chan struct{})}
	}
	for _, name := range []string{"default", "kube-system"} {
		ns := &Object{}
		ns.SetAPIVersion("v1")
		ns.SetKind("Namespace")
		ns.SetName(name)
		if _, err := s.Create("setup", ns); err != nil {
			panic(err)
		}
	}
	return s
}

func key(namespace, name string) string { return namespace + "/" + name }

func (k Kind) id() string { return k.GroupResource().String() }

// Peek returns an object, nil if there is none, to be read only. The caller holds the lock or is within a callback.
func (s *Server) Peek(group, resource, namespace, name string) *Object {
	k, _ := s.Kind(group, resource)
	return s.objects[k.id()][key(namespace, name)]
}

// Each calls f for each object of a resource, to be read only. The caller is within a callback.
func (s *Server) Each(group, resource string, f func(*Object)) {
	k, _ := s.Kind(group, resource)
	for _, o := range s.objects[k.id()] {
		f(o)
	}
}

// Locked calls f while nothing changes.
func (s *Server) Locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Version is the version of the last commit.
func (s *Server) Version() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// Log returns the commits so far.
func (s *Server) Log() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}

// LogLocked is Log for callbacks.
func (s *Server) LogLocked() []Event { return s.log }

func (s *Server) commit(actor string, kind watch.EventType, k Kind, o, old *Object) {
	s.version++
	o.SetResourceVersion(strconv.FormatInt(s.version, 10))
	if s.objects[k.id()] == nil {
		s.objects[k.id()] = map[string]*Object{}
	}
	name := key(o.GetNamespace(), o.GetName())
	if kind == watch.Deleted {
		delete(s.objects[k.id()], name)
	} else {
		s.objects[k.id()][name] = o
	}
	e := Event{Version: s.version, Time: time.Now(), Type: kind, Kind: k, Object: o, Old: old, Actor: actor}
	s.log = append(s.log, e)
	l := s.kindLog[k.id()]
	l.events = append(l.events, e)
	close(l.more)
	l.more = make(chan struct{})
	if s.Committed != nil {
		s.Committed(e)
	}
}

func (s *Server) find(k Kind, namespace, name string) (*Object, error) {
	o := s.objects[k.id()][key(namespace, name)]
	if o == nil {
		return nil, apierrors.NewNotFound(k.GroupResource(), name)
	}
	return o, nil
}

// suffixes of generated names: they have no vowels, like the real ones.
const letters = "bcdfghjklmnpqrstvwxz2456789"

func (s *Server) generate(prefix string) string {
	s.names[prefix]++
	n, suffix := s.names[prefix]*7919+len(prefix)*104729, make([]byte, 5)
	for i := range suffix {
		suffix[i] = letters[n%len(letters)]
		n /= len(letters)
	}
	return prefix + string(suffix)
}

func (s *Server) kindOf(o *Object) (Kind, error) {
	gvk := o.GroupVersionKind()
	for _, k := range s.kinds {
		if k.Group == gvk.Group && k.Kind == gvk.Kind {
			return k, nil
		}
	}
	return Kind{}, apierrors.NewBadRequest(fmt.Sprintf("no kind %s is served", gvk))
}

// Create stores a new object.
func (s *Server) Create(actor string, o *Object) (*Object, error) {
	k, err := s.kindOf(o)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.create(actor, k, o)
}

func (s *Server) create(actor string, k Kind, o *Object) (*Object, error) {
	o = o.DeepCopy()
	if o.GetName() == "" {
		if o.GetGenerateName() == "" {
			return nil, apierrors.NewBadRequest("metadata.name: required")
		}
		o.SetName(s.generate(o.GetGenerateName()))
	}
	if k.Namespaced {
		if err := s.admitted(k, o); err != nil {
			return nil, err
		}
	}
	if _, there := s.objects[k.id()][key(o.GetNamespace(), o.GetName())]; there {
		return nil, apierrors.NewAlreadyExists(k.GroupResource(), o.GetName())
	}
	s.uids++
	o.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", s.uids)))
	o.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	o.SetGeneration(1)
	o.SetDeletionTimestamp(nil)
	if k.StatusApart && actor != "setup" {
		delete(o.Object, "status")
	}
	switch k.Resource {
	case "pods":
		if phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase == "" {
			_ = unstructured.SetNestedField(o.Object, string(v1.PodPending), "status", "phase")
		}
	case "namespaces":
		_ = unstructured.SetNestedStringSlice(o.Object, []string{string(v1.FinalizerKubernetes)}, "spec", "finalizers")
		_ = unstructured.SetNestedField(o.Object, string(v1.NamespaceActive), "status", "phase")
	}
	if s.Admit != nil {
		if err := s.Admit(k, o); err != nil {
			return nil, err
		}
	}
	s.commit(actor, watch.Added, k, o, nil)
	return o, nil
}

// admitted refuses new objects of namespaces that are not there or go.
func (s *Server) admitted(k Kind, o *Object) error {
	ns := s.objects["namespaces"][key("", o.GetNamespace())]
	if ns == nil {
		return apierrors.NewNotFound(v1.Resource("namespaces"), o.GetNamespace())
	}
	if ns.GetDeletionTimestamp() == nil {
		return nil
	}
	err := apierrors.NewForbidden(k.GroupResource(), o.GetName(), fmt.Errorf("namespace %s is being terminated", o.GetNamespace()))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: v1.NamespaceTerminatingCause, Field: "metadata.namespace"})
	return err
}
