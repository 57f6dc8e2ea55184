package conformance

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// informed starts an informer of Places that a field selector matches, and gives what it holds, in words.
func (s *space) informed(version, fields string) func() []string {
	s.Helper()
	resource := schema.GroupVersionResource{Group: s.customGroup(), Version: version, Resource: "places"}
	informer := dynamicinformer.NewFilteredDynamicInformer(s.Dynamic, resource, s.Namespace, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.FieldSelector = fields }).Informer()
	go informer.Run(s.Context().Done())
	s.eventually("the informer to have listed", func() (any, bool) { return nil, informer.HasSynced() })
	return func() []string {
		words := []string{}
		for _, o := range informer.GetStore().List() {
			words = append(words, told(o.(*unstructured.Unstructured)))
		}
		slices.Sort(words)
		return words
	}
}

// happens waits for the next event of a watch of Places and compares it, in words.
func (s *space) happens(events watch.Interface, want string) {
	s.Helper()
	e := s.next(events)
	o, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		s.Fatalf("the watch gives %v, want %s", e, want)
	}
	if got := fmt.Sprint(e.Type, " ", told(o)); got != want {
		s.Errorf("the watch gives %s, want %s", got, want)
	}
}

func TestFieldSelectorsOfCustomObjects(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceFieldSelectors [Privileged:ClusterAdmin] CustomResourceFieldSelectors MUST list and watch custom resources matching the field selector")
	s.definesPlaces()
	selected := []struct{ version, fields string }{{"v1", "address=here:80"}, {"v2", "host=here"}, {"v2", "host=here,port=80"}}
	var watches []watch.Interface
	var informers []func() []string
	for _, c := range selected {
		events := must[watch.Interface](s)(s.things("Place", c.version).Watch(s.Context(), metav1.ListOptions{FieldSelector: c.fields}))
		defer events.Stop()
		watches = append(watches, events)
		informers = append(informers, s.informed(c.version, c.fields))
	}
	// holds checks what lists and informers have, in the order of selected.
	holds := func(wants ...[]string) {
		s.Helper()
		for i, c := range selected {
			if got := s.places(c.version, c.fields); !slices.Equal(got, wants[i]) {
				s.Errorf("a list at %s of %s gives %q, want %q", c.version, c.fields, got, wants[i])
			}
			s.eventually(fmt.Sprintf("the informer at %s of %s to have %q", c.version, c.fields, wants[i]), func() (any, bool) {
				got := informers[i]()
				return got, slices.Equal(got, wants[i])
			})
		}
	}
	const a1, a2, b2 = "v1 a address=here:80 host= port=", "v2 a address= host=here port=80", "v2 b address= host=here port=81"

	s.place("v1", "a", "here", "80")
	s.place("v2", "b", "here", "81")
	s.place("v2", "c", "there", "80")
	s.happens(watches[0], "ADDED "+a1)
	s.happens(watches[1], "ADDED "+a2)
	s.happens(watches[1], "ADDED "+b2)
	s.happens(watches[2], "ADDED "+a2)
	holds([]string{a1}, []string{a2, b2}, []string{a2})

	// b leaves host=here, then c comes to it.
	const c1, c2 = "v1 c address=here:80 host= port=", "v2 c address= host=here port=80"
	for _, move := range []struct{ name, host string }{{"b", "there"}, {"c", "here"}} {
		must[*unstructured.Unstructured](s)(s.things("Place", "v2").Patch(s.Context(), move.name, types.MergePatchType, []byte(`{"host":"`+move.host+`"}`), metav1.PatchOptions{}))
	}
	s.happens(watches[0], "ADDED "+c1)
	s.happens(watches[1], "DELETED "+b2)
	s.happens(watches[1], "ADDED "+c2)
	s.happens(watches[2], "ADDED "+c2)
	holds([]string{a1, c1}, []string{a2, c2}, []string{a2, c2})

	if err := s.things("Place", "v1").Delete(s.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.happens(watches[0], "DELETED "+a1)
	s.happens(watches[1], "DELETED "+a2)
	s.happens(watches[2], "DELETED "+a2)
	holds([]string{c1}, []string{c2}, []string{c2})
}
