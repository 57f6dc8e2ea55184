package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// The targets here come in by the front door: a request of noise is answered with a proper status, and never with one
// that blames the server. Nothing is stored: all requests are dry runs.

// answer sends noise and fails on an answer that says the server is at fault.
func (s *testServer) answer(t *testing.T, verb, path, contentType string, body []byte) {
	t.Helper()
	var code int
	raw, err := s.client.Discovery().RESTClient().Verb(verb).RequestURI(path).SetHeader("Content-Type", contentType).Body(body).MaxRetries(0).Do(t.Context()).StatusCode(&code).Raw()
	switch {
	case code == 0:
		t.Fatalf("%s %s: no answer: %v", verb, path, err)
	case code >= http.StatusInternalServerError:
		t.Fatalf("%s %s with %q of %s: %d %s", verb, path, body, contentType, code, raw)
	case code >= http.StatusBadRequest:
		var status metav1.Status
		if err := json.Unmarshal(raw, &status); err != nil || status.Kind != "Status" || int(status.Code) != code {
			t.Fatalf("%s %s: %d, but no status of it: %s", verb, path, code, raw)
		}
	}
}

func deployment(ns string) *appsv1.Deployment {
	labels := map[string]string{"app": "a"}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: "fuzzed", Namespace: ns},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "a", Image: "b:1", Ports: []corev1.ContainerPort{{ContainerPort: 80}}, Env: []corev1.EnvVar{{Name: "A", Value: "b"}},
			}}},
		}},
	}
}

// FuzzWrite creates what it is given, in each encoding.
func FuzzWrite(f *testing.F) {
	const in = "/api/v1/namespaces/default/"
	paths := []string{
		"/apis/apps/v1/namespaces/default/deployments", in + "pods", in + "services", in + "configmaps", "/apis/batch/v1/namespaces/default/jobs",
		"/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "/apis/events.k8s.io/v1/namespaces/default/events",
	}
	forms := []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor"}
	d := deployment("default")
	asJSON, err := json.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	asYAML, err := yaml.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	asCBOR, err := direct.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	asProtobuf, err := runtime.Encode(protobufOf(f), d)
	if err != nil {
		f.Fatal(err)
	}
	for form, body := range [][]byte{asJSON, asYAML, asProtobuf, asCBOR} {
		f.Add(uint8(0), uint8(form), body)
	}
	for place, body := range []string{
		1:  `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"b","resources":{"limits":{"cpu":"1e3"}}}],"volumes":[{"name":"a","projected":{"sources":[{}]}}]}}`,
		2:  `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"clusterIP":"None","ports":[{"port":80,"targetPort":"a"}]}}`,
		3:  `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","ownerReferences":[{}]},"binaryData":{"a":"YQ=="}}`,
		4:  `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a"},"spec":{"completionMode":"Indexed","completions":3,"podFailurePolicy":{"rules":[{"action":"FailIndex"}]}}}`,
		5:  `{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"a","annotations":{"autoscaling.alpha.kubernetes.io/metrics":"[{}]"}},"spec":{"maxReplicas":1}}`,
		6:  `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"a"},"spec":{"rules":[{"host":"*.a","http":{"paths":[{"path":"/%","pathType":"Exact"}]}}]}}`,
		7:  `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"as.b.c"},"spec":{"group":"b.c","scope":"Cluster","names":{"plural":"as","kind":"A"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-validations":[{"rule":"self.a == 1"}]}}}]}}`,
		8:  `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"a"},"spec":{"validations":[{"expression":"object.a.b == 'c'"}]}}`,
		9:  `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"a"},"rules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}`,
		10: `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"a","resourceAttributes":{"verb":"list","fieldSelector":{"requirements":[{"key":"a","operator":"In"}]}}}}`,
		11: `{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"a"},"eventTime":"2026-01-01T00:00:00.000000Z","series":{"count":2}}`,
	} {
		f.Add(uint8(place), uint8(0), []byte(body))
	}
	s := serve(f)
	f.Fuzz(func(t *testing.T, place, form uint8, body []byte) {
		s.answer(t, http.MethodPost, paths[int(place)%len(paths)]+"?dryRun=All", forms[int(form)%len(forms)], body)
	})
}

func protobufOf(f *testing.F) runtime.Encoder {
	f.Helper()
	for _, info := range encodings() {
		if info.MediaType == runtime.ContentTypeProtobuf {
			return info.Serializer
		}
	}
	f.Fatal("no protobuf")
	return nil
}

func encodings() []runtime.SerializerInfo { return scheme.Codecs.SupportedMediaTypes() }

// FuzzPatch changes an object by each kind of patch.
func FuzzPatch(f *testing.F) {
	kinds := []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType, types.ApplyCBORPatchType}
	for kind, patches := range [][]string{
		{`[{"op":"replace","path":"/spec/replicas","value":3}]`, `[{"op":"test","path":"/metadata/labels/a~1b","value":null},{"op":"move","from":"/spec/template","path":"/spec/x"}]`, `[{"op":"copy","from":"/spec","path":"/spec/template/spec/containers/-"}]`},
		{`{"spec":{"replicas":null,"template":{"spec":{"containers":[]}}}}`, `{"metadata":{"labels":{"a":"b"},"resourceVersion":"1"}}`},
		{`{"spec":{"template":{"spec":{"containers":[{"name":"a","$patch":"delete"},{"name":"b","image":"c"}]}}}}`, `{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"}],"$retainKeys":["containers"]}}}}`, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["a/b"]}}`},
		{"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: fuzzed}\nspec: {template: {spec: {containers: [{name: a, ports: [{containerPort: 81}]}]}}}\n", `{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":"x"}}`},
		{"\xd9\xd9\xf7\xa1JapiVersionGapps/v1"},
	} {
		for _, patch := range patches {
			f.Add(uint8(kind), []byte(patch))
		}
	}
	s := serve(f)
	ns := s.namespace(f)
	if _, err := s.client.AppsV1().Deployments(ns).Create(f.Context(), deployment(ns), metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, patch []byte) {
		as := kinds[int(kind)%len(kinds)]
		path := "/apis/apps/v1/namespaces/" + ns + "/deployments/fuzzed?dryRun=All&fieldManager=fuzz"
		if as == types.ApplyYAMLPatchType || as == types.ApplyCBORPatchType {
			path += "&force=true"
		}
		s.answer(t, http.MethodPatch, path, string(as), patch)
	})
}

// FuzzQuery lists by selectors, from continue tokens and at resource versions of noise.
func FuzzQuery(f *testing.F) {
	f.Add("a in (b,c),!d", "spec.nodeName!=a,metadata.name=b", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0", "1", "Exact")
	f.Add("a=b", "status.phase=\\=", "", "0", "NotOlderThan")
	s := serve(f)
	f.Fuzz(func(t *testing.T, labels, fields, next, version, match string) {
		q := url.Values{"labelSelector": {labels}, "fieldSelector": {fields}, "continue": {next}, "resourceVersion": {version}, "resourceVersionMatch": {match}, "limit": {"2"}}
		s.answer(t, http.MethodGet, "/api/v1/pods?"+q.Encode(), "application/json", nil)
	})
}
