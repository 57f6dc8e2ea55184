// Package lab is a small API server in memory for tests of controllers: it has resourceVersions, UIDs, generated names, finalizers,
// preconditions and conflicts like the real one, and its watches can be frozen, so that a test sees what a controller does with a
// cache that lags. It is driven through the ordinary typed client.
package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
)

// Lab is the server with one client and one set of informers.
type Lab struct {
	Client    *fake.Clientset
	Informers informers.SharedInformerFactory
	// Events is a recorder that keeps what it is told; see Lab.Recorded.
	Events *record.FakeRecorder
	// Fail, when set, is asked before each write; an error refuses it.
	Fail func(verb, resource, subresource string, obj runtime.Object) error

	// Propagate makes deletions set the finalizers of their propagation policy, for tests with a garbage collector; without one
	// nothing would ever remove them.
	Propagate bool

	mu      sync.Mutex
	version int64
	names   int
	objects map[schema.GroupVersionResource]map[string]runtime.Object
	streams map[schema.GroupVersionResource][]*stream
	frozen  map[string]bool
	counts  map[string]int
	lose    string // the write whose next answer is lost
}

// New returns an empty server.
func New(t testing.TB) *Lab {
	l := &Lab{
		Client: &fake.Clientset{}, Events: record.NewFakeRecorder(100000), version: 100,
		objects: map[schema.GroupVersionResource]map[string]runtime.Object{}, streams: map[schema.GroupVersionResource][]*stream{},
		frozen: map[string]bool{}, counts: map[string]int{},
	}
	l.Client.AddReactor("*", "*", l.react)
	l.Client.AddWatchReactor("*", l.watch)
	l.Informers = informers.NewSharedInformerFactory(l.Client, 0)
	t.Cleanup(l.stop)
	return l
}

// Restart gives the server new, empty informers, as a controller has after a restart.
func (l *Lab) Restart() *Lab {
	l.Informers = informers.NewSharedInformerFactory(l.Client, 0)
	return l
}

// Freeze holds back the watch events of resources (all when none is named) until Thaw.
func (l *Lab) Freeze(resources ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	for _, r := range resources {
		l.frozen[r] = true
	}
}

// Thaw delivers what was held back.
func (l *Lab) Thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = map[string]bool{}
	for _, list := range l.streams {
		for _, s := range list {
			s.signal()
		}
	}
}

// Lose breaks the connection off after the next write "verb resource" was carried out: its answer is lost.
func (l *Lab) Lose(write string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = write
}

// Count returns how many writes "verb resource" or "verb resource/subresource" succeeded.
func (l *Lab) Count(write string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[write]
}

// Recorded returns the events so far.
func (l *Lab) Recorded() []string {
	var events []string
	for {
		select {
		case e := <-l.Events.Events:
			events = append(events, e)
		default:
			return events
		}
	}
}

func (l *Lab) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range l.streams {
		for _, s := range list {
			s.close()
		}
	}
}

func key(namespace, name string) string { return namespace + "/" + name }

func (l *Lab) react(action clienttesting.Action) (bool, runtime.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gvr := action.GetResource()
	var obj runtime.Object
	var err error
	switch a := action.(type) {
	case clienttesting.GetActionImpl:
		obj, err = l.get(gvr, a.GetNamespace(), a.GetName())
		return true, obj, err
	case clienttesting.ListActionImpl:
		obj, err = l.list(gvr, a)
		return true, obj, err
	case clienttesting.CreateActionImpl:
		obj, err = l.create(gvr, a)
	case clienttesting.UpdateActionImpl:
		obj, err = l.update(gvr, a)
	case clienttesting.PatchActionImpl:
		obj, err = l.patch(gvr, a)
	case clienttesting.DeleteActionImpl:
		err = l.delete(gvr, a)
	default:
		return true, nil, fmt.Errorf("lab: action %T is unknown", action)
	}
	if err == nil {
		what := action.GetVerb() + " " + gvr.Resource
		if action.GetSubresource() != "" {
			what += "/" + action.GetSubresource()
		}
		l.counts[what]++
		if what == l.lose {
			l.lose, err = "", io.ErrUnexpectedEOF
		}
	}
	return true, obj, err
}

func (l *Lab) refuse(action clienttesting.Action, obj runtime.Object) error {
	if l.Fail == nil {
		return nil
	}
	return l.Fail(action.GetVerb(), action.GetResource().Resource, action.GetSubresource(), obj)
}

func accessor(obj runtime.Object) metav1.Object {
	m, err := meta.Accessor(obj)
	if err != nil {
		panic(err)
	}
	return m
}

func (l *Lab) get(gvr schema.GroupVersionResource, namespace, name string) (runtime.Object, error) {
	obj, ok := l.objects[gvr][key(namespace, name)]
	if !ok {
		return nil, apierrors.NewNotFound(gvr.GroupResource(), name)
	}
	return obj.DeepCopyObject(), nil
}

func (l *Lab) list(gvr schema.GroupVersionResource, a clienttesting.ListActionImpl) (runtime.Object, error) {
	kind := a.GetKind()
	list, err := scheme.Scheme.New(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err != nil {
		return nil, err
	}
	var items []runtime.Object
	for _, obj := range l.objects[gvr] {
		m := accessor(obj)
		if (a.GetNamespace() == "" || a.GetNamespace() == m.GetNamespace()) && a.GetListRestrictions().Labels.Matches(labels.Set(m.GetLabels())) {
			items = append(items, obj.DeepCopyObject())
		}
	}
	if err := meta.SetList(list, items); err != nil {
		return nil, err
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	m.SetResourceVersion(strconv.FormatInt(l.version, 10))
	return list, nil
}

func (l *Lab) create(gvr schema.GroupVersionResource, a clienttesting.CreateActionImpl) (runtime.Object, error) {
	obj := a.GetObject().DeepCopyObject()
	if gvr.Resource == "events" {
		return obj, nil
	}
	m := accessor(obj)
	if m.GetName() == "" {
		l.names++
		m.SetName(fmt.Sprintf("%s%05d", m.GetGenerateName(), l.names))
	}
	if err := l.refuse(a, obj); err != nil {
		return nil, err
	}
	if _, there := l.objects[gvr][key(m.GetNamespace(), m.GetName())]; there {
		return nil, apierrors.NewAlreadyExists(gvr.GroupResource(), m.GetName())
	}
	m.SetUID(types.UID(fmt.Sprintf("uid-%d", l.version+1)))
	m.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	m.SetGeneration(1)
	if pod, ok := obj.(*v1.Pod); ok && pod.Status.Phase == "" {
		pod.Status.Phase = v1.PodPending
	}
	l.store(gvr, obj, watch.Added)
	return obj.DeepCopyObject(), nil
}

func (l *Lab) update(gvr schema.GroupVersionResource, a clienttesting.UpdateActionImpl) (runtime.Object, error) {
	obj := a.GetObject().DeepCopyObject()
	if err := l.refuse(a, obj); err != nil {
		return nil, err
	}
	m := accessor(obj)
	old, err := l.get(gvr, m.GetNamespace(), m.GetName())
	if err != nil {
		return nil, err
	}
	before := accessor(old)
	if rv := m.GetResourceVersion(); rv != "" && rv != before.GetResourceVersion() {
		return nil, apierrors.NewConflict(gvr.GroupResource(), m.GetName(), fmt.Errorf("the object has been modified"))
	}
	// The server keeps what clients do not set.
	if m.GetUID() == "" {
		m.SetUID(before.GetUID())
	}
	m.SetCreationTimestamp(before.GetCreationTimestamp())
	m.SetGeneration(before.GetGeneration())
	if a.GetSubresource() == "" && specChanged(old, obj) {
		m.SetGeneration(before.GetGeneration() + 1)
	}
	return l.modified(gvr, obj), nil
}

// specChanged compares the specs of two objects, as the API server does for metadata.generation.
func specChanged(a, b runtime.Object) bool {
	spec := func(o runtime.Object) string {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return ""
		}
		data, _ := json.Marshal(u["spec"])
		return string(data)
	}
	return spec(a) != spec(b)
}

// modified stores an object, and removes it when it was only kept by finalizers.
func (l *Lab) modified(gvr schema.GroupVersionResource, obj runtime.Object) runtime.Object {
	m := accessor(obj)
	l.store(gvr, obj, watch.Modified)
	if m.GetDeletionTimestamp() != nil && len(m.GetFinalizers()) == 0 && ptrInt(m.GetDeletionGracePeriodSeconds()) == 0 {
		l.remove(gvr, obj)
	}
	return obj.DeepCopyObject()
}

func ptrInt(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func (l *Lab) patch(gvr schema.GroupVersionResource, a clienttesting.PatchActionImpl) (runtime.Object, error) {
	obj, err := l.get(gvr, a.GetNamespace(), a.GetName())
	if err != nil {
		return nil, err
	}
	if err := l.refuse(a, obj); err != nil {
		return nil, err
	}
	before, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	var after []byte
	if a.GetPatchType() == types.MergePatchType {
		after, err = jsonpatch.MergePatch(before, a.GetPatch())
	} else {
		after, err = strategicpatch.StrategicMergePatch(before, a.GetPatch(), obj)
	}
	if err != nil {
		return nil, err
	}
	fresh, err := scheme.Scheme.New(mustKind(obj))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(after, fresh); err != nil {
		return nil, err
	}
	if accessor(fresh).GetUID() != accessor(obj).GetUID() {
		return nil, apierrors.NewConflict(gvr.GroupResource(), a.GetName(), fmt.Errorf("precondition failed: UID"))
	}
	if accessor(fresh).GetResourceVersion() != accessor(obj).GetResourceVersion() {
		return nil, apierrors.NewConflict(gvr.GroupResource(), a.GetName(), fmt.Errorf("the object has been modified"))
	}
	return l.modified(gvr, fresh), nil
}

func mustKind(obj runtime.Object) schema.GroupVersionKind {
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	if err != nil {
		panic(err)
	}
	return kinds[0]
}

// delete marks an object; pods on a node wait for Gone, objects with finalizers for the loss of the last one.
func (l *Lab) delete(gvr schema.GroupVersionResource, a clienttesting.DeleteActionImpl) error {
	obj, err := l.get(gvr, a.GetNamespace(), a.GetName())
	if err != nil {
		return err
	}
	if err := l.refuse(a, obj); err != nil {
		return err
	}
	m := accessor(obj)
	if p := a.GetDeleteOptions().Preconditions; p != nil && p.UID != nil && *p.UID != m.GetUID() {
		return apierrors.NewConflict(gvr.GroupResource(), a.GetName(), fmt.Errorf("precondition failed: UID"))
	} else if p != nil && p.ResourceVersion != nil && *p.ResourceVersion != m.GetResourceVersion() {
		return apierrors.NewConflict(gvr.GroupResource(), a.GetName(), fmt.Errorf("precondition failed: resourceVersion"))
	}
	if l.Propagate {
		propagate(m, a.GetDeleteOptions().PropagationPolicy)
	}
	pod, isPod := obj.(*v1.Pod)
	grace := isPod && pod.Spec.NodeName != "" && ptrInt(a.GetDeleteOptions().GracePeriodSeconds) == 0 && a.GetDeleteOptions().GracePeriodSeconds == nil
	if !grace && len(m.GetFinalizers()) == 0 {
		l.remove(gvr, obj)
		return nil
	}
	if m.GetDeletionTimestamp() == nil {
		now := metav1.Now()
		m.SetDeletionTimestamp(&now)
	}
	seconds := int64(0)
	if grace {
		seconds = 30
	}
	m.SetDeletionGracePeriodSeconds(&seconds)
	l.store(gvr, obj, watch.Modified)
	return nil
}

func (l *Lab) store(gvr schema.GroupVersionResource, obj runtime.Object, event watch.EventType) {
	l.version++
	m := accessor(obj)
	m.SetResourceVersion(strconv.FormatInt(l.version, 10))
	if l.objects[gvr] == nil {
		l.objects[gvr] = map[string]runtime.Object{}
	}
	l.objects[gvr][key(m.GetNamespace(), m.GetName())] = obj.DeepCopyObject()
	l.send(gvr, watch.Event{Type: event, Object: obj.DeepCopyObject()})
}

func (l *Lab) remove(gvr schema.GroupVersionResource, obj runtime.Object) {
	l.version++
	m := accessor(obj)
	m.SetResourceVersion(strconv.FormatInt(l.version, 10))
	delete(l.objects[gvr], key(m.GetNamespace(), m.GetName()))
	l.send(gvr, watch.Event{Type: watch.Deleted, Object: obj.DeepCopyObject()})
}
