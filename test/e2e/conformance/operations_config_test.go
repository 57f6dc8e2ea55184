package conformance

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestLifeOfAConfigMap(t *testing.T) {
	s := behaviour(t, "[sig-node] ConfigMap should run through a ConfigMap lifecycle")
	client := s.Client.CoreV1().ConfigMaps(s.Namespace)
	must[*v1.ConfigMap](s)(client.Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Labels: map[string]string{"static": "yes"}}, Data: map[string]string{"k": "old"}}, metav1.CreateOptions{}))
	must[*v1.ConfigMap](s)(client.Patch(s.Context(), "c", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"patched":"yes"}},"data":{"k":"new"}}`), metav1.PatchOptions{}))
	if got := must[*v1.ConfigMap](s)(client.Get(s.Context(), "c", metav1.GetOptions{})); got.Data["k"] != "new" || got.Labels["patched"] != "yes" {
		t.Errorf("patched: %v, labels %v", got.Data, got.Labels)
	}
	ours := metav1.ListOptions{LabelSelector: "static=yes", FieldSelector: "metadata.namespace=" + s.Namespace}
	list := must[*v1.ConfigMapList](s)(s.Client.CoreV1().ConfigMaps("").List(s.Context(), ours))
	if len(list.Items) != 1 || list.Items[0].Data["k"] != "new" {
		t.Errorf("a list over all namespaces gives %v", list.Items)
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "static=yes"}); err != nil {
		t.Fatal(err)
	}
	s.hasNone("configmaps", "static=yes")
}

func TestPatchedSecret(t *testing.T) {
	s := behaviour(t, "[sig-node] Secrets should patch a secret")
	client := s.Client.CoreV1().Secrets(s.Namespace)
	ours := metav1.ListOptions{LabelSelector: "static=yes", FieldSelector: "metadata.namespace=" + s.Namespace}
	everywhere := func() []v1.Secret {
		t.Helper()
		return must[*v1.SecretList](s)(s.Client.CoreV1().Secrets("").List(s.Context(), ours)).Items
	}
	must[*v1.Secret](s)(client.Create(s.Context(), &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: map[string]string{"static": "yes"}}, Data: map[string][]byte{"k": []byte("old")}}, metav1.CreateOptions{}))
	if got := everywhere(); len(got) != 1 {
		t.Errorf("a list over all namespaces gives %d Secrets of one", len(got))
	}
	must[*v1.Secret](s)(client.Patch(s.Context(), "x", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"patched":"yes"}},"data":{"k":"bmV3"}}`), metav1.PatchOptions{}))
	if got := must[*v1.Secret](s)(client.Get(s.Context(), "x", metav1.GetOptions{})); string(got.Data["k"]) != "new" || got.Labels["patched"] != "yes" {
		t.Errorf("patched: %q, labels %v", got.Data["k"], got.Labels)
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "static=yes"}); err != nil {
		t.Fatal(err)
	}
	if got := everywhere(); len(got) != 0 {
		t.Errorf("after the deletion a list gives %d Secrets", len(got))
	}
}

func TestEmptyKeyOfAConfigMap(t *testing.T) {
	s := behaviour(t, "[sig-node] ConfigMap should fail to create ConfigMap with empty key")
	_, err := s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"": "v"}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("an empty key: %v", err)
	}
}

func TestEmptyKeyOfASecret(t *testing.T) {
	s := behaviour(t, "[sig-node] Secrets should fail to create secret due to empty secret key")
	_, err := s.Client.CoreV1().Secrets(s.Namespace).Create(s.Context(), &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Data: map[string][]byte{"": []byte("v")}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("an empty key: %v", err)
	}
}

func TestImmutableConfigMap(t *testing.T) {
	s := behaviour(t, "[sig-storage] ConfigMap should be immutable if `immutable` field is set")
	client := s.Client.CoreV1().ConfigMaps(s.Namespace)
	must[*v1.ConfigMap](s)(client.Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"k": "1"}}, metav1.CreateOptions{}))
	try := func(change func(*v1.ConfigMap)) error {
		c := must[*v1.ConfigMap](s)(client.Get(s.Context(), "c", metav1.GetOptions{}))
		change(c)
		_, err := client.Update(s.Context(), c, metav1.UpdateOptions{})
		return err
	}
	yes := true
	for _, step := range []struct {
		what    string
		change  func(*v1.ConfigMap)
		refused bool
	}{
		{"changed data", func(c *v1.ConfigMap) { c.Data["k"] = "2" }, false},
		{"made immutable", func(c *v1.ConfigMap) { c.Immutable = &yes }, false},
		{"changed data of an immutable one", func(c *v1.ConfigMap) { c.Data["k"] = "3" }, true},
		{"made mutable again", func(c *v1.ConfigMap) { c.Immutable = nil }, true},
		{"changed labels of an immutable one", func(c *v1.ConfigMap) { c.Labels = map[string]string{"l": "1"} }, false},
	} {
		if err := try(step.change); apierrors.IsInvalid(err) != step.refused || (err != nil && !step.refused) {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	if got := s.read("configmap/c", ".data.k"); got != "2" {
		t.Errorf("the data is %q, want what was written before it became immutable", got)
	}
	if err := client.Delete(s.Context(), "c", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

func TestCollectionOfPods(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should delete a collection of pods")
	for _, name := range []string{"a", "b", "c"} {
		must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod(name, "sleep 300", func(p *v1.Pod) { p.Labels = map[string]string{"of": "set"} }), metav1.CreateOptions{}))
	}
	if got := s.names("pods", "of=set"); len(got) != 3 {
		t.Fatalf("a list gives %v", got)
	}
	if err := s.Client.CoreV1().Pods(s.Namespace).DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "of=set"}); err != nil {
		t.Fatal(err)
	}
	s.hasNone("pods", "of=set")
}
