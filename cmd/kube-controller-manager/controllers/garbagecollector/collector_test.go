package garbagecollector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"pilotis.dev/cmd/kube-controller-manager/controllers/garbagecollector"
	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// served are the kinds of the test's server: two namespaced and two cluster-scoped ones.
type served struct{ broken []string }

func (s served) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	verbs := metav1.Verbs{"get", "list", "watch", "delete", "patch"}
	list := &metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: verbs}, {Name: "secrets", Kind: "Secret", Namespaced: true, Verbs: verbs},
		{Name: "nodes", Kind: "Node", Verbs: verbs}, {Name: "persistentvolumes", Kind: "PersistentVolume", Verbs: verbs},
		{Name: "events", Kind: "Event", Namespaced: true, Verbs: verbs}, {Name: "pods/status", Kind: "Pod", Namespaced: true, Verbs: verbs},
	}}
	list.APIResources = slices.DeleteFunc(list.APIResources, func(r metav1.APIResource) bool { return slices.Contains(s.broken, r.Name) })
	return []*metav1.APIResourceList{list}, nil
}

type mapper struct{ *meta.DefaultRESTMapper }

func (mapper) Reset() {}

func newMapper() mapper {
	m := meta.NewDefaultRESTMapper(nil)
	for kind, scope := range map[string]meta.RESTScope{"ConfigMap": meta.RESTScopeNamespace, "Secret": meta.RESTScopeNamespace, "Node": meta.RESTScopeRoot, "PersistentVolume": meta.RESTScopeRoot} {
		m.Add(v1.SchemeGroupVersion.WithKind(kind), scope)
	}
	return mapper{m}
}

func start(t *testing.T, l *lab.Lab, client metadata.Interface) {
	t.Helper()
	l.Propagate = true
	w := kinds.New(kinds.Config{Metadata: client, Discovery: served{}})
	c := garbagecollector.New(client, w, newMapper(), l.Events, 4)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { w.Run(ctx) })
	group.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	settle()
}

func settle() {
	synctest.Wait()
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// object creates an object of kind in namespace ("" for cluster-scoped kinds) and returns a reference to it.
func object(t *testing.T, l *lab.Lab, kind, namespace, name string, finalizers []string, owners ...metav1.OwnerReference) metav1.OwnerReference {
	t.Helper()
	m := metav1.ObjectMeta{Namespace: namespace, Name: name, OwnerReferences: owners, Finalizers: finalizers}
	core := l.Client.CoreV1()
	var made metav1.Object
	var err error
	switch kind {
	case "ConfigMap":
		made, err = core.ConfigMaps(namespace).Create(t.Context(), &v1.ConfigMap{ObjectMeta: m}, metav1.CreateOptions{})
	case "Secret":
		made, err = core.Secrets(namespace).Create(t.Context(), &v1.Secret{ObjectMeta: m}, metav1.CreateOptions{})
	case "Node":
		made, err = core.Nodes().Create(t.Context(), &v1.Node{ObjectMeta: m}, metav1.CreateOptions{})
	case "PersistentVolume":
		made, err = core.PersistentVolumes().Create(t.Context(), &v1.PersistentVolume{ObjectMeta: m}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: name, UID: made.GetUID()}
}

func resource(kind string) schema.GroupVersionResource {
	return v1.SchemeGroupVersion.WithResource(strings.ToLower(kind) + "s")
}

func remove(t *testing.T, l *lab.Lab, namespace string, ref metav1.OwnerReference, policy metav1.DeletionPropagation) {
	t.Helper()
	err := l.Metadata().Resource(resource(ref.Kind)).Namespace(namespace).Delete(t.Context(), ref.Name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if err != nil {
		t.Fatal(err)
	}
}

func blocking(r metav1.OwnerReference) metav1.OwnerReference {
	yes := true
	r.BlockOwnerDeletion = &yes
	return r
}

// left lists what the server still has: "namespace/name" with the names of its owners.
func left(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	var out []string
	for _, kind := range []string{"ConfigMap", "Secret", "Node", "PersistentVolume"} {
		list, err := l.Metadata().Resource(resource(kind)).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			var owners []string
			for _, r := range o.OwnerReferences {
				owners = append(owners, r.Name)
			}
			sort.Strings(owners)
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s/%s %s", o.Namespace, o.Name, strings.Join(owners, ","))))
		}
	}
	sort.Strings(out)
	return out
}

func expect(t *testing.T, l *lab.Lab, what string, want ...string) {
	t.Helper()
	settle()
	if got := left(t, l); !slices.Equal(got, want) {
		t.Fatalf("%s: left %q, want %q", what, got, want)
	}
}

func TestDeletionPolicies(t *testing.T) {
	for _, c := range []struct {
		policy      metav1.DeletionPropagation
		at, finally []string
	}{
		{metav1.DeletePropagationBackground, []string{"a/held owner"}, nil},
		{metav1.DeletePropagationForeground, []string{"a/held owner", "a/owner"}, nil},
		{metav1.DeletePropagationOrphan, []string{"a/child", "a/held"}, []string{"a/child", "a/held"}},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				start(t, l, l.Metadata())
				owner := object(t, l, "ConfigMap", "a", "owner", nil)
				object(t, l, "Secret", "a", "child", nil, owner)
				held := object(t, l, "Secret", "a", "held", []string{"example.com/hold"}, blocking(owner))
				expect(t, l, "before", "a/child owner", "a/held owner", "a/owner")
				remove(t, l, "a", owner, c.policy)
				expect(t, l, "deleted", c.at...)
				_, err := l.Metadata().Resource(resource("Secret")).Namespace("a").Patch(t.Context(), held.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
				if err != nil {
					t.Fatal(err)
				}
				expect(t, l, "finalizer of the dependent removed", c.finally...)
			})
		})
	}
}

func TestDependentsThatDoNotBlockDoNotHoldUpForegroundDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l, l.Metadata())
		owner := object(t, l, "ConfigMap", "a", "owner", nil)
		object(t, l, "Secret", "a", "held", []string{"example.com/hold"}, owner)
		settle()
		remove(t, l, "a", owner, metav1.DeletePropagationForeground)
		expect(t, l, "deleted", "a/held owner")
	})
}

func TestAnOwnerThatLivesKeepsADependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l, l.Metadata())
		first, second := object(t, l, "ConfigMap", "a", "first", nil), object(t, l, "ConfigMap", "a", "second", nil)
		object(t, l, "Secret", "a", "child", nil, blocking(first), second)
		settle()
		remove(t, l, "a", first, metav1.DeletePropagationForeground)
		expect(t, l, "first owner deleted", "a/child second", "a/second")
	})
}

func TestACircleOfOwnersIsNoObstacle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l, l.Metadata())
		one := object(t, l, "ConfigMap", "a", "one", nil)
		two := object(t, l, "ConfigMap", "a", "two", nil, blocking(one))
		three := object(t, l, "ConfigMap", "a", "three", nil, blocking(two))
		fresh, err := l.Client.CoreV1().ConfigMaps("a").Get(t.Context(), "one", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fresh.OwnerReferences = []metav1.OwnerReference{blocking(three)}
		if _, err := l.Client.CoreV1().ConfigMaps("a").Update(t.Context(), fresh, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		expect(t, l, "a living circle", "a/one three", "a/three two", "a/two one")
		remove(t, l, "a", one, metav1.DeletePropagationForeground)
		expect(t, l, "one of the circle deleted")
	})
}

func TestOwnersOfTheWrongScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l, l.Metadata())
		owner := object(t, l, "ConfigMap", "a", "owner", nil)
		object(t, l, "Secret", "b", "elsewhere", nil, owner)
		object(t, l, "Node", "", "node", nil, owner)
		// An owner in another namespace does not exist for its dependent; a namespaced owner of a cluster-scoped object
		// cannot be looked up, so nothing is concluded.
		expect(t, l, "settled", "/node owner", "a/owner")
		events := strings.Join(l.Recorded(), "\n")
		for _, want := range []string{`Warning OwnerRefInvalidNamespace ownerRef [v1/ConfigMap, namespace: b, name: owner, uid: ` + string(owner.UID) + `] does not exist in namespace "b"`, `does not exist in namespace ""`} {
			if !strings.Contains(events, want) {
				t.Errorf("no event %q in:\n%s", want, events)
			}
		}
	})
}

func TestAnOwnerOfAnUnknownKindIsNoReasonToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l, l.Metadata())
		object(t, l, "Secret", "a", "child", nil, metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Widget", Name: "w", UID: "gone"})
		expect(t, l, "settled", "a/child w")
	})
}

// A collector that starts sees dependents before their owners, or never sees owners at all: nothing may be deleted for that.
func TestAColdCacheDeletesNothingThatLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		owner := object(t, l, "Node", "", "owner", nil)
		for i := range 20 {
			object(t, l, "Secret", "a", fmt.Sprintf("child-%02d", i), nil, owner)
		}
		blind := &blindTo{Interface: l.Metadata(), resource: "nodes"}
		start(t, l, blind)
		if n := l.Count("delete secrets"); n != 0 {
			t.Fatalf("%d dependents of a living owner were deleted while the owner's kind could not be listed", n)
		}
	})
}

// blindTo cannot list a resource, but get it.
type blindTo struct {
	metadata.Interface
	resource string
}

// IsWatchListSemanticsUnSupported makes informers list, then watch.
func (b *blindTo) IsWatchListSemanticsUnSupported() bool { return true }

type blindGetter struct{ metadata.Getter }

type blindResource struct{ metadata.ResourceInterface }

func (b blindGetter) Namespace(namespace string) metadata.ResourceInterface {
	return blindResource{b.Getter.Namespace(namespace)}
}

func (b *blindTo) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	g := b.Interface.Resource(gvr)
	if gvr.Resource == b.resource {
		return blindGetter{g}
	}
	return g
}

func (b blindResource) List(context.Context, metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	return nil, apierrors.NewInternalError(fmt.Errorf("conversion webhook does not answer"))
}

func TestOrphaningWaitsForAllKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		owner := object(t, l, "ConfigMap", "a", "owner", nil)
		object(t, l, "Secret", "a", "child", nil, owner)
		start(t, l, &blindTo{Interface: l.Metadata(), resource: "nodes"})
		remove(t, l, "a", owner, metav1.DeletePropagationOrphan)
		expect(t, l, "while a kind cannot be listed", "a/child owner", "a/owner")
		time.Sleep(time.Minute)
		expect(t, l, "a broken kind does not hold up the others for ever", "a/child")
	})
}

func TestAConflictIsJudgedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l, l.Metadata())
		owner := object(t, l, "ConfigMap", "a", "owner", nil)
		other := object(t, l, "ConfigMap", "a", "other", nil)
		object(t, l, "Secret", "a", "child", nil, owner)
		settle()
		l.Freeze("secrets")
		child, err := l.Client.CoreV1().Secrets("a").Get(t.Context(), "child", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		child.OwnerReferences = []metav1.OwnerReference{other} // adopted, and the collector does not see it
		if _, err := l.Client.CoreV1().Secrets("a").Update(t.Context(), child, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		remove(t, l, "a", owner, metav1.DeletePropagationBackground)
		expect(t, l, "adopted behind the collector's back", "a/child other", "a/other")
		l.Thaw()
		expect(t, l, "seen", "a/child other", "a/other")
	})
}

// modelled is an object of the reference model.
type modelled struct {
	namespace string
	ref       metav1.OwnerReference
	owners    []metav1.OwnerReference
	cluster   bool
	gone      bool
}

// lost tells whether a reference of o is to something that does not exist (true), or cannot be judged (held).
func lost(o *modelled, r metav1.OwnerReference, all map[types.UID]*modelled) (gone, held bool) {
	owner := all[r.UID]
	if (r.Kind == "ConfigMap" || r.Kind == "Secret") && o.cluster {
		return false, true
	}
	return owner == nil || owner.gone || (!owner.cluster && owner.namespace != o.namespace), false
}

// collect is the reference: the least set of objects that contains what was deleted and what has owners none of which stays.
func collect(all map[types.UID]*modelled) {
	for changed := true; changed; {
		changed = false
		for _, o := range all {
			if o.gone || len(o.owners) == 0 {
				continue
			}
			stays := slices.ContainsFunc(o.owners, func(r metav1.OwnerReference) bool {
				gone, held := lost(o, r, all)
				return held || !gone
			})
			if !stays {
				o.gone, changed = true, true
			}
		}
	}
	for _, o := range all {
		o.owners = slices.DeleteFunc(o.owners, func(r metav1.OwnerReference) bool {
			gone, _ := lost(o, r, all)
			return gone
		})
	}
}

func TestRandomGraphsAreCollectedAsTheModelSays(t *testing.T) {
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) { randomGraph(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomGraph(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	l := lab.New(t)
	start(t, l, l.Metadata())
	all := map[types.UID]*modelled{}
	var order []*modelled
	pick := func(o *modelled) (refs []metav1.OwnerReference) {
		for range random.IntN(4) {
			r := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: fmt.Sprintf("ghost-%d", random.IntN(3)), UID: types.UID(fmt.Sprintf("ghost-%d", random.IntN(3)))}
			if len(order) > 0 && random.IntN(12) > 0 {
				r = order[random.IntN(len(order))].ref
			}
			if r.UID != o.ref.UID && !slices.ContainsFunc(refs, func(x metav1.OwnerReference) bool { return x.UID == r.UID }) {
				if random.IntN(2) == 0 {
					r = blocking(r)
				}
				refs = append(refs, r)
			}
		}
		return refs
	}
	for i := range 4 + random.IntN(12) {
		o := &modelled{namespace: []string{"a", "b"}[min(1, random.IntN(6)/5)]}
		kind := []string{"ConfigMap", "Secret", "ConfigMap", "Secret", "Node", "PersistentVolume"}[random.IntN(6)]
		if o.cluster = kind == "Node" || kind == "PersistentVolume"; o.cluster {
			o.namespace = ""
		}
		o.owners = pick(o)
		o.ref = object(t, l, kind, o.namespace, fmt.Sprintf("%s-%d", strings.ToLower(kind[:1]), i), nil, o.owners...)
		all[o.ref.UID] = o
		order = append(order, o)
	}
	check := func(what string) {
		t.Helper()
		collect(all)
		var want []string
		for _, o := range all {
			var owners []string
			for _, r := range o.owners {
				owners = append(owners, r.Name)
			}
			sort.Strings(owners)
			if !o.gone {
				want = append(want, strings.TrimSpace(fmt.Sprintf("%s/%s %s", o.namespace, o.ref.Name, strings.Join(owners, ","))))
			}
		}
		sort.Strings(want)
		settle()
		if got := left(t, l); !slices.Equal(got, want) {
			t.Fatalf("seed %d, %s:\nleft %q\nwant %q", seed, what, got, want)
		}
	}
	check("created")
	if random.IntN(2) == 0 { // circles
		for _, o := range order {
			if !o.gone && random.IntN(4) == 0 {
				setOwners(t, l, o, pick(o))
				check("owners changed") // before the next: it may go with this one
			}
		}
	}
	for _, o := range order {
		if !o.gone && random.IntN(3) == 0 {
			policy := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground}[random.IntN(2)]
			if err := l.Metadata().Resource(resource(o.ref.Kind)).Namespace(o.namespace).Delete(t.Context(), o.ref.Name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			o.gone = true
		}
	}
	check("some deleted")
	for _, o := range order {
		if o.gone || random.IntN(3) > 0 {
			continue
		}
		remove(t, l, o.namespace, o.ref, metav1.DeletePropagationOrphan)
		o.gone = true
		for _, d := range all {
			d.owners = slices.DeleteFunc(d.owners, func(r metav1.OwnerReference) bool { return r.UID == o.ref.UID })
		}
		check("orphaned")
	}
}

func setOwners(t *testing.T, l *lab.Lab, o *modelled, owners []metav1.OwnerReference) {
	t.Helper()
	o.owners = owners
	obj, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{OwnerReferences: owners}})
	if err != nil {
		t.Fatal(err)
	}
	refs := obj["metadata"].(map[string]any)["ownerReferences"]
	patch := []byte(`{"metadata":{"ownerReferences":` + toJSON(t, refs) + `}}`)
	if _, err := l.Metadata().Resource(resource(o.ref.Kind)).Namespace(o.namespace).Patch(t.Context(), o.ref.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
