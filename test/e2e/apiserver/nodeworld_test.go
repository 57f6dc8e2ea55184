package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// nodeWorld is a node with a pod, and an object of each kind that a kubelet has to do with; all bear the node's name.
type nodeWorld struct {
	name, namespace string
	node, pod       types.UID
	account         types.UID
	// objects by resource, as they were created; questions by kind.
	objects   map[string]*unstructured.Unstructured
	questions map[schema.GroupVersionKind]*unstructured.Unstructured
}

// namespaceOf is where the node's object of a resource is.
func (w *nodeWorld) namespaceOf(r resource) string {
	if r.gvr.Resource == "leases" {
		return corev1.NamespaceNodeLease
	}
	return w.namespace
}

// nodeWorld creates a world from the samples of testdata.
func (s *server) nodeWorld(t *testing.T, namespace, name string) *nodeWorld {
	t.Helper()
	w := &nodeWorld{name: name, namespace: namespace, objects: map[string]*unstructured.Unstructured{}, questions: documents(t, "questions.yaml")}
	local := w.questions[schema.GroupVersionKind{Group: "authorization.k8s.io", Version: "v1", Kind: "LocalSubjectAccessReview"}]
	if err := unstructured.SetNestedField(local.Object, namespace, "spec", "resourceAttributes", "namespace"); err != nil {
		t.Fatal(err)
	}
	samples := documents(t, "objects.yaml")
	rows := map[string]resource{}
	for _, r := range whole(s.discovered(t)) {
		rows[r.row()] = r
	}
	for _, row := range []string{
		"nodes", "serviceaccounts", "secrets", "configmaps", "persistentvolumeclaims", "persistentvolumes", "resource.k8s.io/resourceclaims", "pods", // which refer to the former
		"services", "events", "resource.k8s.io/resourceslices", "storage.k8s.io/volumeattachments", "storage.k8s.io/csinodes", "storage.k8s.io/csidrivers",
		"coordination.k8s.io/leases", "node.k8s.io/runtimeclasses", "certificates.k8s.io/certificatesigningrequests", "certificates.k8s.io/clustertrustbundles",
		"certificates.k8s.io/podcertificaterequests",
	} {
		r, known := rows[row]
		if !known {
			t.Fatalf("%s is not in discovery", row)
		}
		o := samples[r.kindOf()].DeepCopy()
		o.SetName(name)
		w.fit(t, row, o)
		created := made(s.of(r, w.namespaceOf(r)).Create(t.Context(), o, metav1.CreateOptions{})).or(t)
		switch row {
		case "nodes":
			w.node = created.GetUID()
		case "serviceaccounts":
			w.account = created.GetUID()
		case "pods":
			w.pod = created.GetUID()
		}
		w.objects[r.Name] = o
	}
	return w
}

// fit makes a sample the node's.
func (w *nodeWorld) fit(t *testing.T, row string, o *unstructured.Unstructured) {
	t.Helper()
	set := func(value any, path ...string) {
		if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
			t.Fatal(err)
		}
	}
	switch row {
	case "persistentvolumes":
		set(map[string]any{"namespace": w.namespace, "name": w.name}, "spec", "claimRef")
	case "pods":
		set(w.name, "spec", "nodeName")
		set(w.name, "spec", "serviceAccountName")
		set([]any{
			map[string]any{"name": "secret", "secret": map[string]any{"secretName": w.name}},
			map[string]any{"name": "map", "configMap": map[string]any{"name": w.name}},
			map[string]any{"name": "claim", "persistentVolumeClaim": map[string]any{"claimName": w.name}},
		}, "spec", "volumes")
		set([]any{map[string]any{"name": "device", "resourceClaimName": w.name}}, "spec", "resourceClaims")
	case "events":
		set(w.namespace, "involvedObject", "namespace")
	case "resource.k8s.io/resourceslices", "storage.k8s.io/volumeattachments":
		set(w.name, "spec", "nodeName")
	case "certificates.k8s.io/certificatesigningrequests":
		set("kubernetes.io/kube-apiserver-client-kubelet", "spec", "signerName")
		set([]any{"digital signature", "client auth"}, "spec", "usages")
		set(w.request(t), "spec", "request")
	case "certificates.k8s.io/podcertificaterequests":
		for field, value := range map[string]string{
			"podName": w.name, "podUID": string(w.pod), "serviceAccountName": w.name, "serviceAccountUID": string(w.account), "nodeName": w.name, "nodeUID": string(w.node),
		} {
			set(value, "spec", field)
		}
	}
}

// request is one for a certificate of the node, as a CertificateSigningRequest has it.
func (w *nodeWorld) request(t *testing.T) string {
	t.Helper()
	key := made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).or(t)
	der := made(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:" + w.name, Organization: []string{"system:nodes"}}}, key)).or(t)
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// mirror is a mirror pod of the node.
func (w *nodeWorld) mirror(t *testing.T) string {
	t.Helper()
	p := podObject(w.name, w.name)
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: w.name, UID: w.node, Controller: ptr.To(true)}}
	return string(made(json.Marshal(p)).or(t))
}
