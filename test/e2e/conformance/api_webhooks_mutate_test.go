package conformance

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// stamped says whether the object has data.stamped: "yes".
func stamped(o *unstructured.Unstructured) bool {
	value, _, _ := unstructured.NestedString(o.Object, "data", "stamped")
	return value == "yes"
}

// stampsThings waits until a dry run of creating a Thing is stamped.
func (s *space) stampsThings(things dynamic.ResourceInterface) {
	s.Helper()
	s.eventually("a Thing to be stamped in a dry run", func() (any, bool) {
		thing, err := things.Create(s.Context(), s.parsed(s.thing("Thing", "v1", "dry", "")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, err == nil && stamped(thing)
	})
}

func TestWebhooksMutateConfigMapInTurn(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate configmap")
	maps := rule("", "v1", "configmaps", "CREATE")
	s.registers("Mutating", s.webhookServer(), hook{path: "mutate/start/one", rules: maps}, hook{path: "mutate/one/two", rules: maps})
	create := func(key string, o metav1.CreateOptions) (*v1.ConfigMap, error) {
		return s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: key}, Data: map[string]string{key: "yes"}}, o)
	}
	s.eventually("both webhooks to be asked", func() (any, bool) {
		c, err := create("start", metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err, false
		}
		return c.Data, c.Data["one"] == "yes" && c.Data["two"] == "yes"
	})
	must[*v1.ConfigMap](s)(create("start", metav1.CreateOptions{}))
	if got := must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Get(s.Context(), "start", metav1.GetOptions{})); got.Data["one"] != "yes" || got.Data["two"] != "yes" {
		t.Errorf("stored is %v", got.Data)
	}
	if got := must[*v1.ConfigMap](s)(create("other", metav1.CreateOptions{})); len(got.Data) != 1 {
		t.Errorf("without the key that the webhooks ask for: %v", got.Data)
	}
}

func TestWebhookMutatesCustomObjects(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource")
	things := s.defines("Thing", "v1: "+anything)
	s.registers("Mutating", s.webhookServer(), hook{path: "mutate", rules: rule(s.customGroup(), "v1", "things", "CREATE, UPDATE")})
	s.stampsThings(things)
	s.create(things, s.thing("Thing", "v1", "a", "data: {colour: red}"))
	got := must[*unstructured.Unstructured](s)(things.Get(s.Context(), "a", metav1.GetOptions{}))
	if colour, _, _ := unstructured.NestedString(got.Object, "data", "colour"); !stamped(got) || colour != "red" {
		t.Errorf("stored is %v", got.Object)
	}
}

func TestWebhookMutatesOtherStoredVersion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource with different stored version")
	things := s.defines("Thing", "v1: "+anything, "v2: "+anything)
	s.registers("Mutating", s.webhookServer(), hook{path: "mutate", rules: rule(s.customGroup(), "v1", "things", "CREATE, UPDATE")})
	s.stampsThings(things)
	s.create(things, s.thing("Thing", "v1", "a", ""))
	s.storesSecondVersion("things." + s.customGroup())
	// The webhook asks for v1 alone; v2 is equivalent (matchPolicy).
	for _, version := range []string{"v1", "v2"} {
		got := must[*unstructured.Unstructured](s)(s.things("Thing", version).Patch(s.Context(), "a", types.MergePatchType, []byte(`{"data":{"stamped":null,"by`+version+`":"yes"}}`), metav1.PatchOptions{}))
		if value, _, _ := unstructured.NestedString(got.Object, "data", "by"+version); value != "yes" || !stamped(got) || !strings.HasSuffix(got.GetAPIVersion(), "/"+version) {
			t.Errorf("patched by way of %s: %v", version, got.Object)
		}
	}
}

func TestWebhookMutatesPodsBeforeDefaults(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate pod and apply defaults after mutation")
	s.registers("Mutating", s.webhookServer(), hook{path: "initcontainer", rules: rule("", "v1", "pods", "CREATE")})
	// creates gives the added container, nil without one.
	creates := func(o metav1.CreateOptions) (*v1.Container, error) {
		pod, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("p", "sleep 3600"), o)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(pod.Spec.InitContainers, func(c v1.Container) bool { return c.Name == "added" }); i >= 0 {
			return &pod.Spec.InitContainers[i], nil
		}
		return nil, nil
	}
	s.eventually("a pod to get the init container in a dry run", func() (any, bool) {
		c, err := creates(metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, c != nil
	})
	if c := must[*v1.Container](s)(creates(metav1.CreateOptions{})); c == nil || c.Image != image || c.TerminationMessagePolicy != v1.TerminationMessageReadFile || c.TerminationMessagePath == "" {
		t.Errorf("the init container is %v", c)
	}
}
