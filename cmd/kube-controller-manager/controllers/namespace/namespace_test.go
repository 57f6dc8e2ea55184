package namespace

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	fakemetadata "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
)

func object(kind, name string, finalizers ...string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}, ObjectMeta: metav1.ObjectMeta{Namespace: "doomed", Name: name, Finalizers: finalizers}}
}

// server is a fake that prefers what it has; the library's prefers nothing.
type server struct{ *fakediscovery.FakeDiscovery }

func (s server) ServerPreferredNamespacedResources() ([]*metav1.APIResourceList, error) {
	return discovery.ServerPreferredNamespacedResources(s)
}

// story is a namespace under deletion with the objects given. The fake server deletes one by one, and not at all what
// has finalizers.
type story struct {
	t        *testing.T
	client   *fake.Clientset
	metadata *fakemetadata.FakeMetadataClient
	deleted  []string // kinds in the order of their deletion
}

func tell(t *testing.T, objects ...runtime.Object) *story {
	now := metav1.Now()
	s := &story{t: t, client: fake.NewClientset(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "doomed", DeletionTimestamp: &now}, Spec: v1.NamespaceSpec{Finalizers: []v1.FinalizerName{"kubernetes"}}})}
	s.client.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
		{Name: "bindings", Kind: "Binding", Namespaced: true, Verbs: metav1.Verbs{"create"}},
		{Name: "nodes", Kind: "Node", Verbs: metav1.Verbs{"list", "delete"}},
	}}}
	scheme := fakemetadata.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s.metadata = fakemetadata.NewSimpleMetadataClient(scheme, objects...)
	s.metadata.PrependReactor("delete", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.DeleteAction).GetName()
		obj, err := s.metadata.Tracker().Get(a.GetResource(), "doomed", name)
		if err != nil {
			return true, nil, err
		}
		s.deleted = append(s.deleted, a.GetResource().Resource)
		return len(obj.(*metav1.PartialObjectMetadata).Finalizers) > 0, nil, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactory(s.client, 0)
	fakeServer, ok := s.client.Discovery().(*fakediscovery.FakeDiscovery)
	if !ok {
		t.Fatal("no fake discovery")
	}
	loop := New(factory.Core().V1().Namespaces(), s.client, s.metadata, server{fakeServer}, time.Minute, 1)
	factory.StartWithContext(ctx)
	var group sync.WaitGroup
	group.Go(func() { loop.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait(); factory.Shutdown() })
	return s
}

// after waits for d and gives the namespace; nil: it was let go.
func (s *story) after(d time.Duration) *v1.Namespace {
	s.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	ns, err := s.client.CoreV1().Namespaces().Get(s.t.Context(), "doomed", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if len(ns.Spec.Finalizers) == 0 {
		return nil
	}
	return ns
}

func condition(ns *v1.Namespace, kind v1.NamespaceConditionType) v1.NamespaceCondition {
	for _, c := range ns.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return v1.NamespaceCondition{}
}

func TestPodsGoBeforeAllElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tell(t, object("ConfigMap", "a"), object("Pod", "p"), object("ConfigMap", "b"))
		if s.after(10*time.Second) != nil {
			t.Fatal("the namespace is still there")
		}
		if len(s.deleted) != 3 || s.deleted[0] != "pods" {
			t.Errorf("deleted in the order %v", s.deleted)
		}
	})
}

func TestWhatHoldsANamespaceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tell(t, object("ConfigMap", "held", "example.org/wait"))
		ns := s.after(10 * time.Second)
		if ns == nil {
			t.Fatal("the namespace went before its content")
		}
		for kind, want := range map[v1.NamespaceConditionType]string{
			v1.NamespaceContentRemaining:    "Some resources are remaining: configmaps. has 1 resource instances",
			v1.NamespaceFinalizersRemaining: "Some content in the namespace has finalizers remaining: example.org/wait in 1 resource instances",
		} {
			if c := condition(ns, kind); c.Status != v1.ConditionTrue || c.Message != want {
				t.Errorf("%s is %s: %s; want %s", kind, c.Status, c.Message, want)
			}
		}
		gvr := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
		if err := s.metadata.Tracker().Delete(gvr, "doomed", "held"); err != nil {
			t.Fatal(err)
		}
		if s.after(20*time.Second) != nil {
			t.Error("the namespace stays after its content went")
		}
	})
}

// looks counts the looks at ConfigMaps, which are never marked as terminating here: each look lists, deletes, and lists again.
func (s *story) looks() int {
	n := 0
	for _, a := range s.metadata.Actions() {
		if a.Matches("list", "configmaps") {
			n++
		}
	}
	return n / 2
}

func TestAHeldNamespaceIsLookedAtEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tell(t, object("ConfigMap", "held", "example.org/wait"))
		if s.after(4*time.Second) == nil {
			t.Fatal("the namespace went before its content")
		}
		if n := s.looks(); n < 4 || n > 5 {
			t.Errorf("%d looks in the first seconds", n)
		}
		s.after(20 * time.Second)
		before := s.looks()
		s.after(10 * time.Minute)
		if n := s.looks() - before; n < 55 || n > 65 {
			t.Errorf("%d looks in ten minutes, want one every ten seconds", n)
		}
	})
}

func TestAThousandObjectsGoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var objects []runtime.Object
		for i := range 500 {
			objects = append(objects, object("Pod", fmt.Sprint("p", i)), object("ConfigMap", fmt.Sprint("c", i)))
		}
		if tell(t, objects...).after(5*time.Second) != nil {
			t.Error("the namespace is still there")
		}
	})
}

func TestAFaultOfTheServerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tell(t, object("ConfigMap", "a"))
		refuse := true
		s.metadata.PrependReactor("delete", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			return refuse, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "a", nil)
		})
		ns := s.after(10 * time.Second)
		if ns == nil {
			t.Fatal("the namespace went before its content")
		}
		if c := condition(ns, v1.NamespaceDeletionContentFailure); c.Status != v1.ConditionTrue || c.Reason != "ContentDeletionFailed" {
			t.Errorf("%s is %s (%s)", c.Type, c.Status, c.Reason)
		}
		refuse = false
		if s.after(time.Minute) != nil {
			t.Error("the namespace stays after the fault was mended")
		}
	})
}
