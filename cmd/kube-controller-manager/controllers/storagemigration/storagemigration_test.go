package storagemigration_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	migrationv1 "k8s.io/api/storagemigration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/storagemigration"
)

// mapper knows ConfigMaps and nothing else.
type mapper struct{ meta.RESTMapper }

func (mapper) Reset() {}

// run migrates a resource in a lab and returns the conditions that are true.
func run(t *testing.T, l *lab.Lab, resource string, definitions ...runtime.Object) (*fake.FakeDynamicClient, *migrationv1.StorageVersionMigration) {
	t.Helper()
	known := meta.NewDefaultRESTMapper(nil)
	known.Add(v1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	dynamic := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}: "CustomResourceDefinitionList"}, definitions...)
	l.Seed(&migrationv1.StorageVersionMigration{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Spec: migrationv1.StorageVersionMigrationSpec{Resource: metav1.GroupResource{Resource: resource}}})
	l.Run(t, storagemigration.New(storagemigration.Config{Migrations: l.Informers.Storagemigration().V1().StorageVersionMigrations(),
		Client: l.Client, Objects: l.Metadata(), Dynamic: dynamic, Mapper: mapper{known}}))
	synctest.Wait()
	m, err := l.Client.StoragemigrationV1().StorageVersionMigrations().Get(t.Context(), "m", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return dynamic, m
}

func holds(m *migrationv1.StorageVersionMigration) (out []string) {
	for _, c := range m.Status.Conditions {
		if c.Status == metav1.ConditionTrue {
			out = append(out, c.Type+" "+c.Reason+" "+c.Message)
		}
	}
	return out
}

func configMaps(names ...string) (out []runtime.Object) {
	for _, name := range names {
		out = append(out, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}})
	}
	return out
}

func TestEveryObjectIsRewrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(configMaps("a", "b", "c")...)
		_, m := run(t, l, "configmaps")
		if got := l.Count("patch configmaps"); got != 3 {
			t.Errorf("%d objects were rewritten, want 3", got)
		}
		if got := holds(m); !slices.Equal(got, []string{"Succeeded StorageVersionMigrationSucceeded "}) || m.Status.ResourceVersion == "" {
			t.Errorf("conditions %q, began at %q", got, m.Status.ResourceVersion)
		}
	})
}

// A conflict is an answer only when somebody else has written the object.
func TestAConflictWithoutAChangeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(configMaps("a", "b")...)
		conflicts := 3
		l.Fail = func(verb, resource, _ string, obj runtime.Object) error {
			if verb == "patch" && resource == "configmaps" && conflicts > 0 {
				conflicts--
				return apierrors.NewConflict(v1.Resource("configmaps"), "a", errors.New("it has been changed"))
			}
			return nil
		}
		run(t, l, "configmaps")
		time.Sleep(time.Minute)
		synctest.Wait()
		m, err := l.Client.StoragemigrationV1().StorageVersionMigrations().Get(t.Context(), "m", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(holds(m)) != 1 || !strings.HasPrefix(holds(m)[0], "Succeeded") || l.Count("patch configmaps") < 2 {
			t.Errorf("%d objects were rewritten, conditions %q", l.Count("patch configmaps"), holds(m))
		}
	})
}

func TestFaultsThatLast(t *testing.T) {
	for resource, want := range map[string]string{
		"configmaps": "Failed StorageVersionMigrationFailed rewriting configmaps ns/a: ",
		"sandwiches": "Failed StorageVersionMigrationFailed spec.resource: the API server serves no sandwiches",
	} {
		t.Run(resource, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				l.Seed(configMaps("a")...)
				l.Fail = func(verb, resource, _ string, _ runtime.Object) error {
					if verb == "patch" && resource == "configmaps" {
						return apierrors.NewForbidden(v1.Resource("configmaps"), "a", errors.New("a policy says no"))
					}
					return nil
				}
				if _, m := run(t, l, resource); len(holds(m)) != 1 || !strings.HasPrefix(holds(m)[0], want) {
					t.Errorf("conditions %q, want %q", holds(m), want)
				}
			})
		})
	}
}

// TestVersionsThatAreStoredNoMore leave the definition.
func TestVersionsThatAreStoredNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		definition := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "configmaps"},
			"spec":   map[string]any{"versions": []any{map[string]any{"name": "v1", "storage": false}, map[string]any{"name": "v2", "storage": true}}},
			"status": map[string]any{"storedVersions": []any{"v1", "v2"}},
		}}
		dynamic, m := run(t, l, "configmaps", definition)
		if len(holds(m)) != 1 || !strings.HasPrefix(holds(m)[0], "Succeeded") {
			t.Errorf("conditions %q", holds(m))
		}
		got, err := dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).Get(t.Context(), "configmaps", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if versions, _, _ := unstructured.NestedStringSlice(got.Object, "status", "storedVersions"); !slices.Equal(versions, []string{"v2"}) {
			t.Errorf("stored versions %q, want v2 alone", versions)
		}
	})
}
