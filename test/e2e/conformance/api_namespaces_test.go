package conformance

import (
	"encoding/json"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const testFinalizer = "tests.pilotis.dev/held"

func (s *space) namespace(name string) *v1.Namespace {
	s.Helper()
	return must[*v1.Namespace](s)(s.Client.CoreV1().Namespaces().Get(s.Context(), name, metav1.GetOptions{}))
}

// changeNamespace reads the test's namespace, changes it and writes it, again when somebody else was faster.
func (s *space) changeNamespace(change func(*v1.Namespace), write func(*v1.Namespace) (*v1.Namespace, error)) *v1.Namespace {
	s.Helper()
	var written *v1.Namespace
	s.eventually("a write of the namespace without conflict", func() (any, bool) {
		ns := s.namespace(s.Namespace)
		change(ns)
		var err error
		if written, err = write(ns); err != nil && !apierrors.IsConflict(err) {
			s.Fatal(err)
		}
		return err, err == nil
	})
	return written
}

func TestPatchOfANamespace(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Namespaces should patch a Namespace [Serial]")
	must[*v1.Namespace](s)(s.Client.CoreV1().Namespaces().Patch(s.Context(), s.Namespace, types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"patched":"yes"}}}`), metav1.PatchOptions{}))
	if got := s.namespace(s.Namespace).Labels; got["patched"] != "yes" || got["kubernetes.io/metadata.name"] != s.Namespace {
		t.Errorf("labels: %v", got)
	}
}

func TestUpdateOfANamespace(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Namespaces should apply an update to a Namespace [Serial]")
	s.changeNamespace(func(ns *v1.Namespace) { ns.Labels["updated"] = s.Namespace }, func(ns *v1.Namespace) (*v1.Namespace, error) {
		return s.Client.CoreV1().Namespaces().Update(s.Context(), ns, metav1.UpdateOptions{})
	})
	if got := s.namespace(s.Namespace).Labels["updated"]; got != s.Namespace {
		t.Errorf("the updated label is %q", got)
	}
}

func TestFinalizerOfANamespace(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Namespaces should apply a finalizer to a Namespace [Serial]")
	finalize := func(ns *v1.Namespace) (*v1.Namespace, error) {
		return s.Client.CoreV1().Namespaces().Finalize(s.Context(), ns, metav1.UpdateOptions{})
	}
	with := s.changeNamespace(func(ns *v1.Namespace) { ns.Spec.Finalizers = append(ns.Spec.Finalizers, testFinalizer) }, finalize)
	if !slices.Contains(with.Spec.Finalizers, testFinalizer) || !slices.Contains(s.namespace(s.Namespace).Spec.Finalizers, testFinalizer) {
		t.Errorf("finalizers with ours: %v", with.Spec.Finalizers)
	}
	without := s.changeNamespace(func(ns *v1.Namespace) {
		ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f v1.FinalizerName) bool { return f == testFinalizer })
	}, finalize)
	if slices.Contains(without.Spec.Finalizers, testFinalizer) || !slices.Equal(s.namespace(s.Namespace).Spec.Finalizers, []v1.FinalizerName{v1.FinalizerKubernetes}) {
		t.Errorf("finalizers without ours: %v", without.Spec.Finalizers)
	}
}

func TestStatusOfANamespace(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Namespaces should apply changes to a namespace status [Serial]")
	if phase := s.namespace(s.Namespace).Status.Phase; phase != v1.NamespaceActive {
		t.Errorf("the phase is %q", phase)
	}
	message := func(kind v1.NamespaceConditionType) string {
		for _, c := range s.namespace(s.Namespace).Status.Conditions {
			if c.Type == kind {
				return c.Message
			}
		}
		return "without the condition"
	}
	patch := must[[]byte](s)(json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{"statuspatched": "yes"}},
		"status": map[string]any{"conditions": []v1.NamespaceCondition{{Type: "StatusPatched", Status: v1.ConditionTrue, Reason: "Tested", Message: "patched"}}}}))
	patched := must[*v1.Namespace](s)(s.Client.CoreV1().Namespaces().Patch(s.Context(), s.Namespace, types.MergePatchType, patch, metav1.PatchOptions{}, "status"))
	if patched.Annotations["statuspatched"] != "yes" || message("StatusPatched") != "patched" {
		t.Errorf("patched: annotations %v, the condition says %s", patched.Annotations, message("StatusPatched"))
	}
	s.changeNamespace(func(ns *v1.Namespace) {
		ns.Status.Conditions = append(ns.Status.Conditions, v1.NamespaceCondition{Type: "StatusUpdate", Status: v1.ConditionTrue, Reason: "Tested", Message: "updated"})
	}, func(ns *v1.Namespace) (*v1.Namespace, error) {
		return s.Client.CoreV1().Namespaces().UpdateStatus(s.Context(), ns, metav1.UpdateOptions{})
	})
	if got := message("StatusUpdate"); got != "updated" {
		t.Errorf("the updated condition says %s", got)
	}
}

// TestPodsGoFirst holds a pod and a ConfigMap by finalizers: while the pod is there, the ConfigMap is not deleted.
func TestPodsGoFirst(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first")
	doomed := s.newNamespace()
	pods, maps := s.Client.CoreV1().Pods(doomed), s.Client.CoreV1().ConfigMaps(doomed)
	held := s.pod("held", "sleep 3600", func(p *v1.Pod) { p.Namespace, p.Finalizers = doomed, []string{testFinalizer} })
	s.start(held)
	must[*v1.ConfigMap](s)(maps.Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "waits"}}, metav1.CreateOptions{}))
	release := func() error {
		_, err := pods.Patch(s.cleanupContext(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		return err
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = release() // or the namespace stays
		}
	})
	if err := s.Client.CoreV1().Namespaces().Delete(s.Context(), doomed, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("the namespace to tell that the pod holds it", func() (any, bool) {
		conditions := s.namespace(doomed).Status.Conditions
		return conditions, slices.ContainsFunc(conditions, func(c v1.NamespaceCondition) bool {
			return c.Type == v1.NamespaceFinalizersRemaining && c.Status == v1.ConditionTrue
		})
	})
	if got := must[*v1.ConfigMap](s)(maps.Get(s.Context(), "waits", metav1.GetOptions{})); got.DeletionTimestamp != nil {
		t.Error("the ConfigMap is being deleted before the pod has gone")
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the namespace to be gone", func() (any, bool) {
		_, err := s.Client.CoreV1().Namespaces().Get(s.Context(), doomed, metav1.GetOptions{})
		return err, apierrors.IsNotFound(err)
	})
}
