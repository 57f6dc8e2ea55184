package conformance

import (
	"fmt"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// watched is a ConfigMap that tests change and watch.
func (s *space) watched() *v1.ConfigMap {
	s.Helper()
	return must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(),
		&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "watched", Labels: map[string]string{"watch": "me"}}}, metav1.CreateOptions{}))
}

func (s *space) patchWatched(patch string) *v1.ConfigMap {
	s.Helper()
	return must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Patch(s.Context(), "watched", types.MergePatchType, []byte(patch), metav1.PatchOptions{}))
}

func (s *space) deleteWatched() {
	s.Helper()
	if err := s.Client.CoreV1().ConfigMaps(s.Namespace).Delete(s.Context(), "watched", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
}

// watchFrom watches the ConfigMaps that the label selects, after a resource version.
func (s *space) watchFrom(version string) watch.Interface {
	s.Helper()
	w := must[watch.Interface](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Watch(s.Context(), metav1.ListOptions{LabelSelector: "watch=me", ResourceVersion: version}))
	s.Cleanup(w.Stop)
	return w
}

func TestWatchFromAVersion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Watchers should be able to start watching from a specific resource version")
	s.watched()
	first := s.patchWatched(`{"data":{"change":"1"}}`)
	second := s.patchWatched(`{"data":{"change":"2"}}`)
	s.deleteWatched()
	events := s.watchFrom(first.ResourceVersion)
	if seen := s.expects(events, watch.Modified); seen.GetResourceVersion() != second.ResourceVersion {
		t.Errorf("after version %s comes %s, the watch says %s", first.ResourceVersion, second.ResourceVersion, seen.GetResourceVersion())
	}
	s.expects(events, watch.Deleted)
}

func TestWatchAgainFromTheLastVersion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Watchers should be able to restart watching from the last resource version observed by the previous watch")
	list := must[*v1.ConfigMapList](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).List(s.Context(), metav1.ListOptions{}))
	before := s.watchFrom(list.ResourceVersion)
	s.watched()
	s.patchWatched(`{"data":{"change":"1"}}`)
	s.expects(before, watch.Added)
	last := s.expects(before, watch.Modified).GetResourceVersion()
	before.Stop()
	second := s.patchWatched(`{"data":{"change":"2"}}`)
	s.deleteWatched()
	after := s.watchFrom(last)
	if seen := s.expects(after, watch.Modified); seen.GetResourceVersion() != second.ResourceVersion {
		t.Errorf("the change while nobody watched is version %s, the watch says %s", second.ResourceVersion, seen.GetResourceVersion())
	}
	s.expects(after, watch.Deleted)
}

func TestWatchOfASelector(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Watchers should observe an object deletion if it stops meeting the requirements of the selector")
	list := must[*v1.ConfigMapList](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).List(s.Context(), metav1.ListOptions{}))
	events := s.watchFrom(list.ResourceVersion)
	s.watched()
	s.patchWatched(`{"data":{"change":"1"}}`)
	s.patchWatched(`{"metadata":{"labels":{"watch":"no-longer"}}}`)
	s.expects(events, watch.Added)
	s.expects(events, watch.Modified)
	s.expects(events, watch.Deleted)
	s.patchWatched(`{"data":{"change":"2"}}`)
	back := s.patchWatched(`{"metadata":{"labels":{"watch":"me"}}}`)
	if seen := s.expects(events, watch.Added); seen.GetResourceVersion() != back.ResourceVersion {
		t.Errorf("the object is back at version %s, the watch says %s", back.ResourceVersion, seen.GetResourceVersion())
	}
	s.patchWatched(`{"data":{"change":"3"}}`)
	s.expects(events, watch.Modified)
	s.deleteWatched()
	s.expects(events, watch.Deleted)
}

func TestWatchesInTheSameOrder(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Watchers should receive events on concurrent watches in same order")
	list := must[*v1.ConfigMapList](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).List(s.Context(), metav1.ListOptions{}))
	const writes = 50
	written := make(chan error, 1)
	go func() { written <- s.writeConfigMaps(writes) }()
	versions := func(w watch.Interface, n int) []string {
		var got []string
		for range n {
			got = append(got, s.next(w).Object.(metav1.Object).GetResourceVersion())
		}
		return got
	}
	first := s.watchAll(list.ResourceVersion)
	var order []string
	var later []watch.Interface
	for range writes {
		order = append(order, versions(first, 1)...)
		later = append(later, s.watchAll(order[len(order)-1]))
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for i, w := range later {
		if rest := versions(w, writes-1-i); !slices.Equal(rest, order[i+1:]) {
			t.Errorf("the watch from version %s sees %v, the first saw %v", order[i], rest, order[i+1:])
		}
	}
}

func (s *space) watchAll(version string) watch.Interface {
	s.Helper()
	w := must[watch.Interface](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Watch(s.Context(), metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt", ResourceVersion: version}))
	s.Cleanup(w.Stop)
	return w
}

// writeConfigMaps makes n writes: ConfigMaps are created, changed and deleted in turn.
func (s *space) writeConfigMaps(n int) error {
	client := s.Client.CoreV1().ConfigMaps(s.Namespace)
	for i := range n {
		name := fmt.Sprintf("c-%d", i/3)
		var err error
		switch i % 3 {
		case 0:
			_, err = client.Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		case 1:
			_, err = client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{})
		default:
			err = client.Delete(s.Context(), name, metav1.DeleteOptions{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
