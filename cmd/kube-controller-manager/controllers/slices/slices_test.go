package slices

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func backend(name, ip string, ready v1.ConditionStatus) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"}}, Spec: v1.PodSpec{NodeName: "n"},
		Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}}, Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: ready}}}}
}

// anyNumber of slices: which of them keep an endpoint depends on how they were filled.
const anyNumber = -1

func TestSlicesFollowThePodsOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		loop := New(l.Informers, l.Client, l.Events, 2, time.Second, 1)
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		pods := l.Client.CoreV1().Pods("d")
		must := func(_ any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		// is compares the endpoints of all slices, each with its readiness, and how many slices there are.
		is := func(what string, count int, want ...string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			list, err := l.Client.DiscoveryV1().EndpointSlices("d").List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			full := 0
			for _, s := range list.Items {
				if s.Labels["kubernetes.io/service-name"] != "web" || len(s.Endpoints) > 2 || len(s.OwnerReferences) != 1 {
					t.Errorf("%s: slice %s has labels %v, owners %v and %d endpoints", what, s.Name, s.Labels, s.OwnerReferences, len(s.Endpoints))
				}
				if len(s.Endpoints) > 0 {
					full++
				}
				for _, e := range s.Endpoints {
					got = append(got, fmt.Sprintf("%s=%v", e.Addresses[0], *e.Conditions.Ready))
				}
			}
			slices.Sort(got)
			if strings.Join(got, " ") != strings.Join(want, " ") || (full != count && count != anyNumber) {
				t.Errorf("%s: endpoints %v in %d slices, want %v in %d", what, got, full, want, count)
			}
		}
		must(l.Client.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{}))
		must(l.Client.CoreV1().Services("d").Create(ctx, &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web", UID: "s"},
			Spec: v1.ServiceSpec{Selector: map[string]string{"app": "web"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, ClusterIP: "10.0.0.9", Ports: []v1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{}))
		is("no pods", 0)
		for i, status := range []v1.ConditionStatus{v1.ConditionTrue, v1.ConditionFalse, v1.ConditionTrue} {
			must(pods.Create(ctx, backend(fmt.Sprintf("p%d", i), fmt.Sprintf("10.1.0.%d", i), status), metav1.CreateOptions{}))
		}
		is("three pods, two a slice", 2, "10.1.0.0=true", "10.1.0.1=false", "10.1.0.2=true")
		p, err := pods.Get(ctx, "p1", metav1.GetOptions{})
		must(p, err)
		p.Status.Conditions[0].Status = v1.ConditionTrue
		must(pods.UpdateStatus(ctx, p, metav1.UpdateOptions{}))
		is("one gets ready", 2, "10.1.0.0=true", "10.1.0.1=true", "10.1.0.2=true")
		p, err = pods.Get(ctx, "p0", metav1.GetOptions{})
		must(p, err)
		p.Labels = map[string]string{"app": "other"}
		must(pods.Update(ctx, p, metav1.UpdateOptions{}))
		if err := pods.Delete(ctx, "p2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		is("one leaves, one ends gracefully", anyNumber, "10.1.0.1=true", "10.1.0.2=false")
		if err := pods.Delete(ctx, "p2", *metav1.NewDeleteOptions(0)); err != nil {
			t.Fatal(err)
		}
		is("it is gone", 1, "10.1.0.1=true")
	})
}

// Somebody deletes a slice: another takes its place, and the rest of the Service's stay current.
func TestADeletedSliceIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		ctx := t.Context()
		l.Seed(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, backend("p0", "10.1.0.0", v1.ConditionTrue), backend("p1", "10.1.0.1", v1.ConditionTrue), &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web"},
			Spec:       v1.ServiceSpec{Selector: map[string]string{"app": "web"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, ClusterIP: "10.0.0.9", Ports: []v1.ServicePort{{Port: 80}}},
		})
		l.Run(t, New(l.Informers, l.Client, l.Events, 1, 0, 1))
		client := l.Client.DiscoveryV1().EndpointSlices("d")
		time.Sleep(time.Minute)
		list, err := client.List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != 2 {
			t.Fatalf("%d slices (%v), want one a pod", len(list.Items), err)
		}
		if err := client.Delete(ctx, list.Items[0].Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if list, err = client.List(ctx, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list.Items {
			for _, e := range s.Endpoints {
				got = append(got, e.Addresses[0])
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"10.1.0.0", "10.1.0.1"}) {
			t.Errorf("endpoints %v after a slice was deleted", got)
		}
	})
}

// web is a Service over the backends.
func web() *v1.Service {
	return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web"},
		Spec: v1.ServiceSpec{Selector: map[string]string{"app": "web"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, ClusterIP: "10.0.0.9", Ports: []v1.ServicePort{{Port: 80}}}}
}

// Somebody gives a slice to another controller or Service: the Service gets another in its place.
func TestASliceThatIsGivenAwayIsReplaced(t *testing.T) {
	for _, label := range []string{discoveryv1.LabelManagedBy, discoveryv1.LabelServiceName} {
		synctest.Test(t, func(t *testing.T) {
			l := lab.New(t)
			l.Seed(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, backend("p", "10.1.0.1", v1.ConditionTrue), web())
			l.Run(t, New(l.Informers, l.Client, l.Events, 100, 0, 1))
			client := l.Client.DiscoveryV1().EndpointSlices("d")
			time.Sleep(time.Minute)
			list, err := client.List(t.Context(), metav1.ListOptions{})
			if err != nil || len(list.Items) != 1 {
				t.Fatalf("%d slices (%v), want 1", len(list.Items), err)
			}
			given := &list.Items[0]
			given.Labels[label] = "another"
			if _, err := client.Update(t.Context(), given, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			list, err = client.List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelManagedBy + "=" + controllerName + "," + discoveryv1.LabelServiceName + "=web"})
			if err != nil || len(list.Items) != 1 || len(list.Items[0].Endpoints) != 1 {
				t.Errorf("%s: slices %+v (%v), want one with the endpoint", label, list.Items, err)
			}
		})
	}
}

func TestARefusedWriteIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Fail = func(_, resource, _ string, _ runtime.Object) error {
			if resource == "endpointslices" {
				return errors.New("refused")
			}
			return nil
		}
		l.Seed(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, backend("p", "10.1.0.1", v1.ConditionTrue), web())
		l.Run(t, New(l.Informers, l.Client, l.Events, 100, 0, 1))
		if events := strings.Join(l.Recorded(), "\n"); !strings.Contains(events, "Warning FailedToUpdateEndpointSlices Error updating Endpoint Slices for Service d/web: ") {
			t.Errorf("events:\n%s", events)
		}
	})
}

// The hints follow the nodes: with one of two zones down they would send traffic nowhere.
func TestHintsGoWithTheirZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		service := web()
		service.Annotations = map[string]string{v1.AnnotationTopologyMode: "Auto"}
		l.Seed(service)
		for i := range 2 {
			node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{v1.LabelTopologyZone: fmt.Sprint("z", i)}}}
			node.Status.Allocatable = v1.ResourceList{v1.ResourceCPU: resource.MustParse("4")}
			node.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
			l.Seed(node)
			for j := range 3 {
				pod := backend(fmt.Sprintf("p%d%d", i, j), fmt.Sprintf("10.1.%d.%d", i, j), v1.ConditionTrue)
				pod.Spec.NodeName = node.Name
				l.Seed(pod)
			}
		}
		l.Run(t, New(l.Informers, l.Client, l.Events, 100, 0, 1))
		hinted := func() int {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			list, err := l.Client.DiscoveryV1().EndpointSlices("d").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, s := range list.Items {
				for _, e := range s.Endpoints {
					if e.Hints != nil && len(e.Hints.ForZones) > 0 {
						n++
					}
				}
			}
			return n
		}
		if n := hinted(); n != 6 {
			t.Fatalf("%d endpoints with hints, want 6", n)
		}
		node, err := l.Client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		node.Status.Conditions[0].Status = v1.ConditionFalse
		if _, err := l.Client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if n := hinted(); n != 0 {
			t.Errorf("%d endpoints with hints though there is one zone left", n)
		}
	})
}

// Changes of pods that come together are written together.
func TestChangesOfPodsAreBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		loop := New(l.Informers, l.Client, l.Events, 100, 10*time.Second, 1)
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		if _, err := l.Client.CoreV1().Services("d").Create(ctx, &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web", UID: "s"},
			Spec: v1.ServiceSpec{Selector: map[string]string{"app": "web"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, ClusterIP: "10.0.0.9", Ports: []v1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Client.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		before := l.Count("create endpointslices") + l.Count("update endpointslices")
		for i := range 5 {
			if _, err := l.Client.CoreV1().Pods("d").Create(ctx, backend(fmt.Sprintf("p%d", i), fmt.Sprintf("10.1.0.%d", i), v1.ConditionTrue), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if writes := l.Count("create endpointslices") + l.Count("update endpointslices") - before; writes != 1 {
			t.Errorf("five pods within five seconds took %d writes, want 1", writes)
		}
	})
}

// A create without an answer is not done again by a cache that has not seen it.
func TestASliceIsMadeOnceThoughTheAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, backend("p", "10.1.0.1", v1.ConditionTrue), &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web"},
			Spec:       v1.ServiceSpec{Selector: map[string]string{"app": "web"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, ClusterIP: "10.0.0.9", Ports: []v1.ServicePort{{Port: 80}}},
		})
		l.MadeOnce(t, "endpointslices", func() { l.Run(t, New(l.Informers, l.Client, l.Events, 100, 0, 1)) })
	})
}
