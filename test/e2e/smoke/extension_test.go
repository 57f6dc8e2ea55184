package smoke

import (
	"encoding/base64"
	"strings"
	"testing"

	"pilotis.dev/test/e2e/testcert"
)

// testserver runs test/e2e/testserver behind the Service "server" with a certificate of its own authority, and gives
// that authority for a caBundle. frontProxy, if not empty, is the authority whose client certificates it believes.
func (s space) testserver(frontProxy string) (caBundle string) {
	s.t.Helper()
	authority, certificate, key, err := testcert.Serving("server." + s.name + ".svc")
	if err != nil {
		s.t.Fatal(err)
	}
	encode := func(pem string) string { return base64.StdEncoding.EncodeToString([]byte(pem)) }
	proxy := ""
	if frontProxy != "" {
		proxy = ", front-proxy.crt: " + encode(frontProxy)
	}
	s.apply(`
apiVersion: v1
kind: Secret
metadata: {name: server}
data: {tls.crt: ` + encode(certificate) + `, tls.key: ` + encode(key) + proxy + `}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  replicas: 2
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: server
        image: IMAGE
        command: [testserver]
        readinessProbe: {httpGet: {path: /healthz, port: 8443, scheme: HTTPS}, periodSeconds: 1}
        volumeMounts: [{name: tls, mountPath: /tls, readOnly: true}]
      volumes: [{name: tls, secret: {secretName: server}}]
`)
	s.must("rollout", "status", "deployment/server", "--timeout=90s")
	return encode(authority)
}

// TestWebhooksInPods: one changes ConfigMaps, one refuses and warns; with both gone, failurePolicy: Fail shuts the door.
func TestWebhooksInPods(t *testing.T) {
	s := newSpace(t)
	bundle := s.testserver("")
	for kind, path := range map[string]string{"Mutating": "mutate", "Validating": "validate"} {
		s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ` + kind + `WebhookConfiguration
metadata: {name: smoke-` + path + `}
webhooks:
- name: ` + path + `.smoke.pilotis.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  clientConfig: {caBundle: ` + bundle + `, service: {namespace: ` + s.name + `, name: server, path: /` + path + `}}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ` + s.name + `}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]
`)
		t.Cleanup(func() { s.must("delete", strings.ToLower(kind)+"webhookconfiguration", "smoke-"+path) })
	}
	create := func(colour string) (string, error) {
		return s.try("create", "configmap", colour, "--from-literal=colour="+colour, "--dry-run=server", "-o", "jsonpath={.data}")
	}
	s.until("the mutating webhook to be asked", func() (string, bool) {
		out, err := create("red")
		if err != nil {
			return err.Error(), false
		}
		return out, out == `{"colour":"red","stamped":"yes"}`
	})
	s.until("the validating webhook to refuse", func() (string, bool) {
		out, err := create("mauve")
		if err == nil {
			return out, false
		}
		return err.Error(), strings.Contains(err.Error(), `admission webhook "validate.smoke.pilotis.dev" denied the request: data.colour: mauve is not worn here`)
	})
	s.must("create", "configmap", "puce", "--from-literal=colour=puce")
	if _, err := s.try("create", "configmap", "puce2", "--from-literal=colour=puce", "--warnings-as-errors"); err == nil || !strings.Contains(err.Error(), "Warning: data.colour: puce goes out of fashion") {
		t.Errorf("the webhook's warning does not reach the user: %v", err)
	}
	s.must("scale", "deployment/server", "--replicas=0")
	s.until("creation to fail without the webhooks", func() (string, bool) {
		out, err := create("red")
		if err == nil {
			return out, false
		}
		return err.Error(), strings.Contains(err.Error(), `failed calling webhook "mutate.smoke.pilotis.dev"`)
	})
}

// TestPoliciesBoundReplicas: a ValidatingAdmissionPolicy reads its limit from a ConfigMap and names what it saw.
func TestPoliciesBoundReplicas(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: limits}
data: {replicas: "3"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: smoke-replicas}
spec:
  failurePolicy: Fail
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]}
  variables: [{name: most, expression: "int(params.data.replicas)"}]
  validations:
  - expression: object.spec.replicas <= variables.most
    messageExpression: "'at most ' + string(variables.most) + ' replicas, not ' + string(object.spec.replicas)"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: smoke-replicas}
spec:
  policyName: smoke-replicas
  validationActions: [Deny]
  paramRef: {name: limits, namespace: ` + s.name + `, parameterNotFoundAction: Deny}
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ` + s.name + `}}}
`)
	t.Cleanup(func() {
		s.must("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "smoke-replicas")
	})
	create := func(replicas string) (string, error) {
		return s.try("create", "deployment", "web", "--image="+image, "--replicas="+replicas, "--dry-run=server", "-o", "name")
	}
	s.until("the policy to refuse", func() (string, bool) {
		out, err := create("4")
		if err == nil {
			return out, false
		}
		return err.Error(), strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'smoke-replicas' with binding 'smoke-replicas' denied request: at most 3 replicas, not 4")
	})
	if _, err := create("3"); err != nil {
		t.Errorf("what the policy allows: %v", err)
	}
	s.must("patch", "configmap", "limits", "-p", `{"data":{"replicas":"5"}}`)
	s.until("the policy to follow its parameter", func() (string, bool) {
		out, err := create("4")
		if err != nil {
			return err.Error(), false
		}
		return out, true
	})
}

// TestAggregatedAPIServer: a group served from pods looks like any other, is told who asks, and fails alone.
func TestAggregatedAPIServer(t *testing.T) {
	s := newSpace(t)
	frontProxy := s.must("get", "configmap", "extension-apiserver-authentication", "--namespace=kube-system", "-o", "jsonpath={.data.requestheader-client-ca-file}")
	bundle := s.testserver(frontProxy)
	s.apply(`
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.weather.e2e.pilotis.dev}
spec:
  group: weather.e2e.pilotis.dev
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  caBundle: ` + bundle + `
  service: {namespace: ` + s.name + `, name: server}
`)
	t.Cleanup(func() { s.must("delete", "apiservice", "v1.weather.e2e.pilotis.dev") })
	s.must("wait", "--for=condition=Available", "apiservice/v1.weather.e2e.pilotis.dev", "--timeout=60s")
	s.until("kubectl to know reports", func() (string, bool) {
		out, err := s.try("get", "reports", "today", "-o", "jsonpath={.sky} for {.askedBy}")
		if err != nil {
			return err.Error(), false
		}
		return out, out == "clear for kubernetes-admin"
	})
	if out := s.must("get", "reports.weather.e2e.pilotis.dev", "-o", "name"); out != "report.weather.e2e.pilotis.dev/today" {
		t.Errorf("list: %q", out)
	}
	if _, err := s.try("get", "report", "tomorrow"); err == nil || !strings.Contains(err.Error(), `(NotFound): reports.weather.e2e.pilotis.dev "tomorrow" not found`) {
		t.Errorf("the server's own error: %v", err)
	}
	if _, err := s.try("get", "reports", "--as=ann"); err == nil || !strings.Contains(err.Error(), `User "ann" cannot list resource "reports" in API group "weather.e2e.pilotis.dev"`) {
		t.Errorf("someone without a role: %v", err)
	}
	s.must("scale", "deployment/server", "--replicas=0")
	s.must("wait", "--for=condition=Available=False", "apiservice/v1.weather.e2e.pilotis.dev", "--timeout=90s")
	if _, err := s.try("get", "--raw", "/apis/weather.e2e.pilotis.dev/v1/namespaces/"+s.name+"/reports"); err == nil || !strings.Contains(err.Error(), "ServiceUnavailable") {
		t.Errorf("the group without a server: %v", err)
	}
	s.must("get", "deployments") // the other groups do not care
}
