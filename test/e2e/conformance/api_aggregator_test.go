package conformance

import (
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/test/e2e/testimage"
)

var (
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	wardle      = schema.GroupVersion{Group: "wardle.example.com", Version: "v1alpha1"}
)

// sampleServer runs the sample API server of k8s.io/sample-apiserver behind the Service "server", with an etcd beside it. It
// asks the cluster who asks it, and what they may. It gives the authority of the server's certificate, for a caBundle.
func (s *space) sampleServer() string {
	s.Helper()
	bundle := s.serverCertificate()
	rbac := schema.GroupVersion{Group: "rbac.authorization.k8s.io", Version: "v1"}
	account := "[{kind: ServiceAccount, name: default, namespace: SPACE}]\n"
	s.createClusterWide(rbac.WithResource("clusterroles"), `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: SPACE}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
- {apiGroups: [admissionregistration.k8s.io], resources: ["*"], verbs: [get, list, watch]}
- {apiGroups: [flowcontrol.apiserver.k8s.io], resources: [flowschemas, prioritylevelconfigurations], verbs: [get, list, watch]}
`)
	for name, role := range map[string]string{"SPACE": "SPACE", "SPACE-delegator": "system:auth-delegator"} {
		s.createClusterWide(rbac.WithResource("clusterrolebindings"), `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: `+name+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "`+role+`"}
subjects: `+account)
	}
	reader := s.Dynamic.Resource(rbac.WithResource("rolebindings")).Namespace("kube-system")
	s.create(reader, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: SPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: `+account)
	s.Cleanup(func() {
		if err := reader.Delete(s.cleanupContext(), s.Namespace, metav1.DeleteOptions{}); err != nil {
			s.Error(err)
		}
	})
	s.apply(strings.ReplaceAll(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      containers:
      - name: server
        image: SAMPLE
        args: ["--etcd-servers=http://127.0.0.1:2379", --secure-port=8443, --tls-cert-file=/tls/tls.crt, --tls-private-key-file=/tls/tls.key]
        readinessProbe: {httpGet: {path: /readyz, port: 8443, scheme: HTTPS}, periodSeconds: 1, timeoutSeconds: 10} # its etcd waits for the disk
        volumeMounts: [{name: tls, mountPath: /tls, readOnly: true}]
      - name: etcd
        image: SAMPLE
        command: [/usr/local/bin/etcd, --data-dir=/data/etcd, "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: tls, secret: {secretName: server}}, {name: data, emptyDir: {}}]
`, "SAMPLE", testimage.SampleServer))
	s.kubectl("rollout", "status", "deployment/server", "--timeout=120s")
	return bundle
}

// flunder is what the sample server stores.
func flunder(name string) string {
	return "apiVersion: " + wardle.String() + "\nkind: Flunder\nmetadata: {name: " + name + ", labels: {flunder: " + name + "}}\nspec: {reference: other}\n"
}

func TestSampleServer(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator [LinuxOnly]")
	name := wardle.Version + "." + wardle.Group
	s.createClusterWide(apiServices, `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: `+name+`, labels: {of: SPACE}}
spec: {group: `+wardle.Group+`, version: `+wardle.Version+`, groupPriorityMinimum: 2000, versionPriority: 200, caBundle: `+s.sampleServer()+`, service: {namespace: SPACE, name: server}}
`)
	s.kubectl("wait", "--for=condition=Available", "apiservice/"+name, "--timeout=90s")
	s.discovered(true)
	s.flundersComeAndGo()
	s.flundersAreForbidden()
	s.apiServiceChanges(name)

	services := s.Dynamic.Resource(apiServices)
	if err := services.DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "of=" + s.Namespace}); err != nil {
		t.Fatal(err)
	}
	if list := must[*unstructured.UnstructuredList](s)(services.List(s.Context(), metav1.ListOptions{LabelSelector: "of=" + s.Namespace})); len(list.Items) > 0 {
		t.Errorf("%d APIServices are left", len(list.Items))
	}
	s.discovered(false)
}

// discovered waits until flunders are in the group's discovery document, in that of all groups, and in kubectl's, or in none.
func (s *space) discovered(wanted bool) {
	s.Helper()
	s.eventually("flunders to be discovered", func() (any, bool) {
		_, own := s.accepting("GET", "/apis/"+wardle.String(), "application/json", "")
		_, all := s.accepting("GET", "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "")
		_, groups := s.accepting("GET", "/apis", "application/json", "")
		return own, strings.Contains(own, `"name":"flunders"`) == wanted && strings.Contains(all, `"resource":"flunders"`) == wanted && strings.Contains(groups, wardle.Group) == wanted
	})
	if wanted {
		s.contains(s.kubectl("api-resources", "--api-group="+wardle.Group), "flunders", "fischers", wardle.String())
		s.eventually("kubectl to explain flunders", func() (any, bool) {
			out, err := s.tryKubectl("", "explain", "flunder.spec.reference")
			return err, err == nil && strings.Contains(out, "<string>")
		})
	}
}

func (s *space) flundersComeAndGo() {
	s.Helper()
	flunders := s.resource(wardle.WithResource("flunders"), false)
	made := s.create(flunders, flunder("one"))
	if kind, _, _ := unstructured.NestedString(made.Object, "spec", "referenceType"); kind != "Flunder" {
		s.Errorf("the server gave the flunder the referenceType %q, its default is Flunder", kind)
	}
	s.create(flunders, flunder("two"))
	if list := must[*unstructured.UnstructuredList](s)(flunders.List(s.Context(), metav1.ListOptions{})); len(list.Items) != 2 {
		s.Errorf("%d flunders are listed, want 2", len(list.Items))
	}
	s.prints("one two", "get", "flunders", "-o", "jsonpath={.items[*].metadata.name}")
	if _, err := s.tryKubectl(strings.Replace(flunder("one"), "reference: other", "reference: changed", 1), "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		s.Error(err)
	}
	s.prints("changed", "get", "flunder", "one", "-o", "jsonpath={.spec.reference}")
	s.createClusterWide(wardle.WithResource("fischers"), "apiVersion: "+wardle.String()+"\nkind: Fischer\nmetadata: {name: SPACE}\ndisallowedFlunders: [three]\n")
	s.eventually("the server's own admission to refuse a name", func() (any, bool) {
		_, err := flunders.Create(s.Context(), s.parsed(flunder("three")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, apierrors.IsForbidden(err) && strings.Contains(err.Error(), "this name may not be used")
	})
	if err := flunders.Delete(s.Context(), "one", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.kubectl("delete", "flunder", "two")
	if list := must[*unstructured.UnstructuredList](s)(flunders.List(s.Context(), metav1.ListOptions{})); len(list.Items) != 0 {
		s.Errorf("%d flunders are left", len(list.Items))
	}
	if err := s.Dynamic.Resource(wardle.WithResource("fischers")).Delete(s.Context(), s.Namespace, metav1.DeleteOptions{}); err != nil {
		s.Error(err)
	}
}

// flundersAreForbidden to whom no role allows them, through the aggregator and at the server itself, which asks the cluster.
func (s *space) flundersAreForbidden() {
	s.Helper()
	if _, err := s.tryKubectl("", "get", "flunders", "--as=ann"); err == nil || !strings.Contains(err.Error(), `User "ann" cannot list resource "flunders" in API group "wardle.example.com"`) {
		s.Errorf("through the aggregator: %v", err)
	}
	s.kubectl("create", "serviceaccount", "guest")
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: guest}
spec:
  serviceAccountName: guest
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"], volumeMounts: [{name: tls, mountPath: /tls}]}]
  volumes: [{name: tls, secret: {secretName: server, items: [{key: ca.crt, path: ca.crt}]}}]
`)
	s.kubectl("wait", "--for=condition=Ready", "pod/guest", "--timeout=90s")
	list := func() (any, string) {
		out, err := s.tryKubectl("", "exec", "guest", "--", "witness", "get", "--token", "--authority=/tls/ca.crt", "https://server."+s.Namespace+".svc/apis/"+wardle.String()+"/namespaces/"+s.Namespace+"/flunders")
		return err, out
	}
	s.eventually("the server to refuse a guest", func() (any, bool) {
		err, out := list()
		return []any{err, out}, strings.Contains(out, `User \"system:serviceaccount:`+s.Namespace+`:guest\" cannot list resource \"flunders\"`)
	})
	s.kubectl("create", "role", "guest", "--verb=list", "--resource=flunders."+wardle.Group)
	s.kubectl("create", "rolebinding", "guest", "--role=guest", "--serviceaccount="+s.Namespace+":guest")
	s.eventually("the server to let the guest in", func() (any, bool) {
		err, out := list()
		return []any{err, out}, strings.Contains(out, `"kind":"FlunderList"`)
	})
}

// apiServiceChanges reads, updates and patches the APIService and its status.
func (s *space) apiServiceChanges(name string) {
	s.Helper()
	services := s.Dynamic.Resource(apiServices)
	list := must[*unstructured.UnstructuredList](s)(services.List(s.Context(), metav1.ListOptions{}))
	if !slices.ContainsFunc(list.Items, func(o unstructured.Unstructured) bool { return o.GetName() == name }) {
		s.Errorf("%s is not among the APIServices", name)
	}
	s.kubectl("patch", "apiservice", name, "--type=merge", "-p", `{"spec":{"versionPriority":400}}`)
	s.prints("400", "get", "apiservice", name, "-o", "jsonpath={.spec.versionPriority}")
	s.eventually("an update of the labels without conflict", func() (any, bool) {
		now := must[*unstructured.Unstructured](s)(services.Get(s.Context(), name, metav1.GetOptions{}))
		now.SetLabels(map[string]string{"of": s.Namespace, "updated": "yes"})
		_, err := services.Update(s.Context(), now, metav1.UpdateOptions{})
		return err, err == nil
	})
	s.prints(name, "get", "apiservices", "-l", "updated=yes,of="+s.Namespace, "-o", "jsonpath={.items[*].metadata.name}")
	s.keepsStatusAt(services, name)
	s.kubectl("wait", "--for=condition=Available", "apiservice/"+name, "--timeout=30s")
}
