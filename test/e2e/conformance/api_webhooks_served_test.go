package conformance

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/test/e2e/testcert"
)

// serverCertificate makes the Secret and the Service of a server that pods with app=server are at port 8443, both named
// "server", and gives the authority of its certificate for a caBundle.
func (s *space) serverCertificate() string {
	s.Helper()
	authority, certificate, key, err := testcert.Serving("server." + s.Namespace + ".svc")
	if err != nil {
		s.Fatal(err)
	}
	proxies := must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps("kube-system").Get(s.Context(), "extension-apiserver-authentication", metav1.GetOptions{}))
	encode := func(pem string) string { return base64.StdEncoding.EncodeToString([]byte(pem)) }
	s.apply(`
apiVersion: v1
kind: Secret
metadata: {name: server}
data: {ca.crt: ` + encode(authority) + `, tls.crt: ` + encode(certificate) + `, tls.key: ` + encode(key) + `, front-proxy.crt: ` + encode(proxies.Data["requestheader-client-ca-file"]) + `}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 443, targetPort: 8443}]}
`)
	return encode(authority)
}

// webhookServer runs test/e2e/testserver behind the Service "server" and gives the authority of its certificate, for a caBundle.
// Its aggregated API has the test's customGroup.
func (s *space) webhookServer() string {
	s.Helper()
	bundle := s.serverCertificate()
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: server
    image: IMAGE
    command: [testserver, --group=` + s.customGroup() + `]
    readinessProbe: {httpGet: {path: /healthz, port: 8443, scheme: HTTPS}, periodSeconds: 1}
    volumeMounts: [{name: tls, mountPath: /tls, readOnly: true}]
  volumes: [{name: tls, secret: {secretName: server}}]
`)
	s.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=90s")
	return bundle
}

// servedWebhook is webhookOf with the server that runs: /mutate stamps ConfigMaps, /validate refuses data.colour: mauve.
func servedWebhook(kind, path, bundle, conditions string) string {
	return strings.Replace(webhookOf(kind, conditions), "{service: {namespace: SPACE, name: nobody, path: /}}",
		"{caBundle: "+bundle+", service: {namespace: SPACE, name: server, path: /"+path+"}}", 1)
}

// tries creates a ConfigMap as a dry run.
func (s *space) tries(name, colour string) (*v1.ConfigMap, error) {
	return s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"colour": colour}},
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// denies waits until mauve is refused, or is not.
func (s *space) denies(wanted bool) {
	s.Helper()
	s.eventually(fmt.Sprintf("mauve to be refused: %t", wanted), func() (any, bool) {
		_, err := s.tries("c", "mauve")
		if wanted {
			return err, err != nil && strings.Contains(err.Error(), "mauve is not worn here")
		}
		return err, err == nil
	})
}

// stamps waits until the ConfigMap of this name is stamped, or is not.
func (s *space) stamps(name string, wanted bool) {
	s.Helper()
	s.eventually(fmt.Sprintf("%s to be stamped: %t", name, wanted), func() (any, bool) {
		c, err := s.tries(name, "red")
		if err != nil {
			return err, false
		}
		return c.Data, (c.Data["stamped"] == "yes") == wanted
	})
}

// onCreate lets the configuration apply to creations, or to updates alone.
func (s *space) onCreate(kind string, update, applies bool) {
	s.Helper()
	operations := []any{"UPDATE"}
	if applies {
		operations = append(operations, "CREATE")
	}
	client := s.Dynamic.Resource(webhookResource(kind))
	if !update {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["%s"]}]`, strings.Join(strings.Fields(strings.Trim(fmt.Sprint(operations), "[]")), `","`))
		must[*unstructured.Unstructured](s)(client.Patch(s.Context(), s.Namespace, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}))
		return
	}
	current := must[*unstructured.Unstructured](s)(client.Get(s.Context(), s.Namespace, metav1.GetOptions{}))
	hooks, _, _ := unstructured.NestedSlice(current.Object, "webhooks")
	hooks[0].(map[string]any)["rules"].([]any)[0].(map[string]any)["operations"] = operations
	current.Object["webhooks"] = hooks
	must[*unstructured.Unstructured](s)(client.Update(s.Context(), current, metav1.UpdateOptions{}))
}

func TestChangedValidatingWebhook(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a validating webhook should work")
	s.createClusterWide(webhookResource("Validating"), servedWebhook("Validating", "validate", s.webhookServer(), "[]"))
	s.denies(true)
	s.onCreate("Validating", true, false)
	s.denies(false)
	s.onCreate("Validating", false, true)
	s.denies(true)
}

func TestChangedMutatingWebhook(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a mutating webhook should work")
	s.createClusterWide(webhookResource("Mutating"), servedWebhook("Mutating", "mutate", s.webhookServer(), "[]"))
	s.stamps("c", true)
	s.onCreate("Mutating", true, false)
	s.stamps("c", false)
	s.onCreate("Mutating", false, true)
	s.stamps("c", true)
}

func TestMatchConditionsExcept(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate everything except 'skip-me' configmaps")
	s.createClusterWide(webhookResource("Mutating"), servedWebhook("Mutating", "mutate", s.webhookServer(), `[{name: skip-me, expression: "object.metadata.name != 'skip-me'"}]`))
	s.stamps("other", true)
	s.stamps("skip-me", false)
}

func TestListedWebhooks(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing validating webhooks should work")
	bundle := s.webhookServer()
	client := s.Dynamic.Resource(webhookResource("Validating"))
	ours := metav1.ListOptions{LabelSelector: "of=" + s.Namespace}
	for i := range 10 {
		s.createClusterWide(webhookResource("Validating"), strings.Replace(servedWebhook("Validating", "validate", bundle, "[]"),
			"metadata: {name: SPACE}", fmt.Sprintf("metadata: {name: SPACE-%d, labels: {of: SPACE}}", i), 1))
	}
	if n := len(must[*unstructured.UnstructuredList](s)(client.List(s.Context(), ours)).Items); n != 10 {
		t.Errorf("%d configurations have the label, 10 were created", n)
	}
	s.denies(true)
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
		t.Fatal(err)
	}
	if n := len(must[*unstructured.UnstructuredList](s)(client.List(s.Context(), ours)).Items); n != 0 {
		t.Errorf("%d configurations are left", n)
	}
	s.denies(false)
}
