package kinds_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// moving has ConfigMaps in a version that changes; with an error it answers for some groups only.
type moving struct {
	metadata.Interface
	mu      sync.Mutex
	version string
	err     error
}

func (m *moving) move(version string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version, m.err = version, err
}

func (m *moving) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []*metav1.APIResourceList{{GroupVersion: m.version, APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"list", "watch", "delete"}},
	}}}, m.err
}

func (m *moving) IsWatchListSemanticsUnSupported() bool { return true }

func (m *moving) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	return m.Interface.Resource(v1.SchemeGroupVersion.WithResource(gvr.Resource))
}

// A kind is followed in the version that is preferred, and in that alone, also while another group does not answer.
func TestAKindMovesToAnotherVersion(t *testing.T) {
	for name, failure := range map[string]error{"complete answer": nil, "partial answer": errors.New("metrics.k8s.io does not answer")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				server := &moving{Interface: l.Metadata(), version: "v1"}
				w := kinds.New(kinds.Config{Metadata: server, Discovery: server})
				var mu sync.Mutex
				var changed, told []string
				note := func(list *[]string, what ...string) {
					mu.Lock()
					defer mu.Unlock()
					*list = append(*list, strings.Join(what, " "))
				}
				w.Subscribe(kinds.Handler{
					Changed: func(k kinds.Kind, _, o metav1.Object) { note(&changed, k.Version, o.GetName()) },
					Gone:    func(k kinds.Kind, o metav1.Object) { note(&told, "gone", k.Version, o.GetName()) },
					Kinds:   func() { note(&told, "kinds") },
				})
				expect := func(changes, rest string) {
					t.Helper()
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					mu.Lock()
					defer mu.Unlock()
					if c, r := strings.Join(changed, ", "), strings.Join(told, ", "); c != changes || r != rest {
						t.Errorf("changed %q and %q, want %q and %q", c, r, changes, rest)
					}
					changed, told = nil, nil
				}
				create := func(name string) {
					t.Helper()
					m := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name}}
					if _, err := l.Client.CoreV1().ConfigMaps("d").Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { w.Run(ctx) })
				defer func() { cancel(); group.Wait() }()

				expect("", "kinds")
				create("a")
				expect("v1 a", "")
				server.move("v2", failure)
				expect("v2 a", "kinds, gone v1 a")
				create("b")
				expect("v2 b", "")
			})
		})
	}
}
