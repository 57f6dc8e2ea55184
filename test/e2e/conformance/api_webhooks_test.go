package conformance

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// webhookOf is the manifest of a webhook configuration for this namespace's ConfigMaps, whose server nobody runs.
func webhookOf(kind, conditions string) string {
	return `
apiVersion: admissionregistration.k8s.io/v1
kind: ` + kind + `WebhookConfiguration
metadata: {name: SPACE}
webhooks:
- name: hook.tests.pilotis.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 2
  clientConfig: {service: {namespace: SPACE, name: nobody, path: /}}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: SPACE}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]
  matchConditions: ` + conditions + "\n"
}

func webhookResource(kind string) schema.GroupVersionResource {
	return admissionResource(strings.ToLower(kind) + "webhookconfigurations")
}

// keepsMatchConditions creates a configuration, reads its match conditions, updates them and reads them again.
func (s *space) keepsMatchConditions(kind string) {
	s.Helper()
	client := s.Dynamic.Resource(webhookResource(kind))
	conditions := func() string {
		read := must[*unstructured.Unstructured](s)(client.Get(s.Context(), s.Namespace, metav1.GetOptions{}))
		hooks, _, _ := unstructured.NestedSlice(read.Object, "webhooks")
		list, _, _ := unstructured.NestedSlice(hooks[0].(map[string]any), "matchConditions")
		var told []string
		for _, c := range list {
			told = append(told, c.(map[string]any)["name"].(string)+": "+c.(map[string]any)["expression"].(string))
		}
		return strings.Join(told, "; ")
	}
	s.createClusterWide(webhookResource(kind), webhookOf(kind, `[{name: one, expression: "object.metadata.name == 'one'"}]`))
	if got := conditions(); got != "one: object.metadata.name == 'one'" {
		s.Errorf("created: %s", got)
	}
	must[*unstructured.Unstructured](s)(client.Patch(s.Context(), s.Namespace, types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/webhooks/0/matchConditions","value":[{"name":"two","expression":"true"},{"name":"three","expression":"request.dryRun"}]}]`), metav1.PatchOptions{}))
	if got := conditions(); got != "two: true; three: request.dryRun" {
		s.Errorf("updated: %s", got)
	}
}

// refusesMatchConditions creates a configuration whose expression is no CEL.
func (s *space) refusesMatchConditions(kind string) {
	s.Helper()
	_, err := s.Dynamic.Resource(webhookResource(kind)).Create(s.Context(), s.parsed(webhookOf(kind, `[{name: one, expression: "... [] bad expression"}]`)), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "compilation failed") {
		s.Errorf("refused with %v", err)
		s.removesLater(webhookResource(kind), s.Namespace)
	}
}

func TestMatchConditionsOfMutatingWebhooks(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and update mutating webhook configurations with match conditions")
	s.keepsMatchConditions("Mutating")
}

func TestMatchConditionsOfValidatingWebhooks(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and update validating webhook configurations with match conditions")
	s.keepsMatchConditions("Validating")
}

func TestBadMatchConditionsOfMutatingWebhooks(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject mutating webhook configurations with invalid match conditions")
	s.refusesMatchConditions("Mutating")
}

func TestBadMatchConditionsOfValidatingWebhooks(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject validating webhook configurations with invalid match conditions")
	s.refusesMatchConditions("Validating")
}

func TestDiscoveryOfWebhooks(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should include webhook resources in discovery documents")
	for _, kind := range []string{"Mutating", "Validating"} {
		s.discovers(schema.GroupVersion{Group: "admissionregistration.k8s.io", Version: "v1"}, operations{resource: webhookResource(kind).Resource})
	}
}

func TestWebhookFailsClosed(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should unconditionally reject operations on fail closed webhook")
	s.createClusterWide(webhookResource("Validating"), webhookOf("Validating", "[]"))
	s.eventually("the creation to be refused", func() (any, bool) {
		_, err := s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, err != nil && strings.Contains(err.Error(), `failed calling webhook "hook.tests.pilotis.dev"`)
	})
}
