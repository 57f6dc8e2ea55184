package conformance

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// hook is a webhook of the server that runs.
type hook struct {
	path  string // at the server, for example "validate"
	rules string // in flow style
	more  string // further fields as lines of YAML; without one, it is asked about the test's namespace alone
}

// labelled limits a webhook to objects with the label of: SPACE.
const labelled = "  objectSelector: {matchLabels: {of: SPACE}}"

// rule is one for the resource with these operations, comma separated.
func rule(group, version, resource, operations string) string {
	return fmt.Sprintf("[{apiGroups: [%q], apiVersions: [%q], resources: [%q], operations: [%s]}]", group, version, resource, operations)
}

// registers creates a webhook configuration with these webhooks, hook0, hook1 and so on; bundle is webhookServer's.
func (s *space) registers(kind, bundle string, hooks ...hook) {
	s.Helper()
	manifest := "apiVersion: admissionregistration.k8s.io/v1\nkind: " + kind + "WebhookConfiguration\nmetadata: {name: SPACE}\nwebhooks:\n"
	for i, h := range hooks {
		if h.more == "" {
			h.more = "  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: SPACE}}"
		}
		manifest += fmt.Sprintf(`
- name: hook%d.tests.pilotis.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {caBundle: %s, service: {namespace: SPACE, name: server, path: /%s}}
  rules: %s
%s
`, i, bundle, h.path, h.rules, h.more)
	}
	s.createClusterWide(webhookResource(kind), manifest)
}

// inForce waits until a dry run is refused with this text: a configuration takes a moment to be known.
func (s *space) inForce(text string, dryRun func(metav1.CreateOptions) error) {
	s.Helper()
	s.eventually("a dry run to be refused with "+text, func() (any, bool) {
		err := dryRun(metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, err != nil && strings.Contains(err.Error(), text)
	})
}

// refused checks that a webhook refused the request with this text.
func (s *space) refused(what, text string, err error) {
	s.Helper()
	if err == nil || !strings.Contains(err.Error(), "denied the request: "+text) {
		s.Errorf("%s is refused with %v, want %s", what, err, text)
	}
}

func TestWebhookDeniesCustomObjects(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny custom resource creation, update and deletion")
	bundle := s.webhookServer()
	things := s.defines("Thing", "v1: "+anything)
	const mauve, refusal = "data: {colour: mauve}", "data.colour: mauve is not worn here"
	s.create(things, s.thing("Thing", "v1", "old", mauve))
	s.registers("Validating", bundle, hook{path: "validate", rules: rule(s.customGroup(), "v1", "things", "CREATE, UPDATE, DELETE")})
	create := func(o metav1.CreateOptions) error {
		_, err := things.Create(s.Context(), s.parsed(s.thing("Thing", "v1", "new", mauve)), o)
		return err
	}
	s.inForce(refusal, create)

	s.refused("a creation", refusal, create(metav1.CreateOptions{}))
	red := s.create(things, s.thing("Thing", "v1", "red", "data: {colour: red}"))
	_, err := things.Patch(s.Context(), "red", types.MergePatchType, []byte(`{"data":{"colour":"mauve"}}`), metav1.PatchOptions{})
	s.refused("a patch", refusal, err)
	red.Object["data"] = map[string]any{"colour": "mauve"}
	_, err = things.Update(s.Context(), red, metav1.UpdateOptions{})
	s.refused("an update", refusal, err)
	s.refused("a deletion", refusal, things.Delete(s.Context(), "old", metav1.DeleteOptions{}))
	must[*unstructured.Unstructured](s)(things.Patch(s.Context(), "old", types.MergePatchType, []byte(`{"data":{"colour":"red"}}`), metav1.PatchOptions{}))
	if err := things.Delete(s.Context(), "old", metav1.DeleteOptions{}); err != nil {
		t.Errorf("a deletion that the webhook allows: %v", err)
	}
}

func TestWebhookDeniesPodsAndConfigMaps(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny pod and configmap creation")
	bundle := s.webhookServer()
	exempt := s.newNamespace()
	s.kubectl("label", "namespace", s.Namespace, exempt, "asked="+s.Namespace)
	s.kubectl("label", "namespace", exempt, "exempt=true")
	namespaces := "  namespaceSelector: {matchLabels: {asked: SPACE}, matchExpressions: [{key: exempt, operator: DoesNotExist}]}\n"
	s.registers("Validating", bundle,
		hook{"validate", rule("", "v1", "configmaps", "CREATE, UPDATE"), namespaces},
		hook{"validate", rule("", "v1", "pods", "CREATE, UPDATE"), namespaces},
		hook{"hang", rule("", "v1", "pods", "CREATE"), namespaces + "  timeoutSeconds: 1\n  objectSelector: {matchLabels: {colour: drying}}"})
	maps := func(namespace string) func(metav1.CreateOptions) error {
		return func(o metav1.CreateOptions) error {
			_, err := s.Client.CoreV1().ConfigMaps(namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mauve"}, Data: map[string]string{"colour": "mauve"}}, o)
			return err
		}
	}
	const ofMaps, ofPods = "data.colour: mauve is not worn here", "metadata.labels.colour: mauve is not worn here"
	s.inForce(ofMaps, maps(s.Namespace))
	coloured := func(colour string) error {
		return s.createPod(s.pod(colour, "sleep 3600", func(p *v1.Pod) { p.Labels = map[string]string{"colour": colour} }))
	}
	s.refused("a pod", ofPods, coloured("mauve"))
	if err := coloured("drying"); err == nil || !strings.Contains(err.Error(), `failed calling webhook "hook2.tests.pilotis.dev"`) || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("a pod whose webhook hangs: %v", err)
	}
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Get(s.Context(), "drying", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod whose webhook hangs is read with %v", err)
	}
	if err := coloured("red"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), "red", types.MergePatchType, []byte(`{"metadata":{"labels":{"colour":"mauve"}}}`), metav1.PatchOptions{})
	s.refused("a patch of a pod", ofPods, err)

	s.refused("a ConfigMap", ofMaps, maps(s.Namespace)(metav1.CreateOptions{}))
	red := must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "red"}}, metav1.CreateOptions{}))
	_, err = s.Client.CoreV1().ConfigMaps(s.Namespace).Patch(s.Context(), "red", types.MergePatchType, []byte(`{"data":{"colour":"mauve"}}`), metav1.PatchOptions{})
	s.refused("a patch of a ConfigMap", ofMaps, err)
	red.Data = map[string]string{"colour": "mauve"}
	_, err = s.Client.CoreV1().ConfigMaps(s.Namespace).Update(s.Context(), red, metav1.UpdateOptions{})
	s.refused("an update of a ConfigMap", ofMaps, err)
	if err := maps(exempt)(metav1.CreateOptions{}); err != nil {
		t.Errorf("in a namespace that the selector leaves out: %v", err)
	}
}

func TestWebhookDeniesDefinitions(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should deny crd creation")
	s.registers("Validating", s.webhookServer(), hook{"deny", rule("apiextensions.k8s.io", "*", "customresourcedefinitions", "CREATE"), labelled})
	create := func(o metav1.CreateOptions) error {
		_, err := s.Dynamic.Resource(definitions).Create(s.Context(), s.parsed(s.definition("Thing", "v1: "+anything)), o)
		return err
	}
	s.removesLater(definitions, "things."+s.customGroup())
	s.inForce("CREATE is not done here", create)
	s.refused("a definition", "CREATE is not done here", create(metav1.CreateOptions{}))
	if _, err := s.Dynamic.Resource(definitions).Get(s.Context(), "things."+s.customGroup(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the refused definition is read with %v", err)
	}
}

func TestWebhooksLeaveWebhookConfigurationsAlone(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should not be able to mutate or prevent deletion of webhook configuration objects")
	bundle := s.webhookServer()
	configurations := func(operation string) string {
		return `[{apiGroups: [admissionregistration.k8s.io], apiVersions: ["*"], resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations], operations: [` + operation +
			`]}, {apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [` + operation + `]}]`
	}
	witness := must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(),
		&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "witness", Labels: map[string]string{"of": s.Namespace}}}, metav1.CreateOptions{}))
	s.registers("Mutating", bundle, hook{"label", configurations("CREATE"), labelled})
	s.registers("Validating", bundle, hook{"deny", configurations("DELETE"), labelled})
	maps := s.Client.CoreV1().ConfigMaps(s.Namespace)
	s.eventually("both webhooks to be asked about a ConfigMap", func() (any, bool) {
		c := witness.DeepCopy()
		c.Name, c.ResourceVersion = "labelled", ""
		created, err := maps.Create(s.Context(), c, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		denied := maps.Delete(s.Context(), "witness", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		return fmt.Sprint(err, denied), err == nil && created.Labels["stamped"] == "yes" && denied != nil && strings.Contains(denied.Error(), "DELETE is not done here")
	})
	for _, kind := range []string{"Mutating", "Validating"} {
		client := s.Dynamic.Resource(webhookResource(kind))
		created := s.createClusterWide(webhookResource(kind), strings.Replace(webhookOf(kind, "[]"), "metadata: {name: SPACE}", "metadata: {name: SPACE-other, labels: {of: SPACE}}", 1))
		if created.GetLabels()["stamped"] != "" {
			t.Errorf("a webhook has changed %sWebhookConfiguration", kind)
		}
		if err := client.Delete(s.Context(), created.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting %sWebhookConfiguration: %v", kind, err)
		}
	}
}
