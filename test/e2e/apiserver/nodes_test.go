package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/e2e/daemons"
)

// may is what a kubelet's credentials allow on a resource: own on what concerns its node, any on all objects. A
// collection that concerns its node is one selected by spec.nodeName, or by the name of the one object.
type may struct{ own, any string }

// kubeletMay is what the documentation of the Node authorizer and of NodeRestriction grants. What is not here is refused
// (https://kubernetes.io/docs/reference/access-authn-authz/node/,
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction).
var kubeletMay = map[string]may{
	// its node, the pods on it, and what these refer to
	"nodes":                         {own: "create get list watch update patch"},
	"nodes/status":                  {own: "update patch"},
	"pods":                          {own: "create get list watch delete"}, // to create mirror pods
	"pods/status":                   {own: "update patch"},
	"pods/eviction":                 {own: "create"},
	"secrets":                       {own: "get list watch"},
	"configmaps":                    {own: "get list watch"},
	"serviceaccounts":               {own: "get"},
	"serviceaccounts/token":         {own: "create"},
	"persistentvolumeclaims":        {own: "get"},
	"persistentvolumeclaims/status": {own: "update patch"},
	"persistentvolumes":             {own: "get"},

	"resource.k8s.io/resourceclaims":             {own: "get"},
	"resource.k8s.io/resourceslices":             {own: "create get list watch update patch delete deletecollection"},
	"storage.k8s.io/volumeattachments":           {own: "get"},
	"storage.k8s.io/csinodes":                    {own: "create get update patch delete"},
	"coordination.k8s.io/leases":                 {own: "create get update patch delete"},
	"certificates.k8s.io/podcertificaterequests": {own: "create get list watch"},

	// what all kubelets need
	"services":                   {any: "get list watch"},
	"events":                     {any: "create update patch"},
	"storage.k8s.io/csidrivers":  {any: "get list watch"},
	"node.k8s.io/runtimeclasses": {any: "get list watch"},
	"certificates.k8s.io/clustertrustbundles":        {any: "get list watch"},
	"certificates.k8s.io/certificatesigningrequests": {own: "create", any: "get list watch"},

	// who talks to the kubelet, and what he may
	"authentication.k8s.io/tokenreviews":             {any: "create"},
	"authorization.k8s.io/subjectaccessreviews":      {any: "create"},
	"authorization.k8s.io/localsubjectaccessreviews": {any: "create"},

	// as anybody
	"authentication.k8s.io/selfsubjectreviews":      {any: "create"},
	"authorization.k8s.io/selfsubjectaccessreviews": {any: "create"},
	"authorization.k8s.io/selfsubjectrulesreviews":  {any: "create"},
}

// row is the name of a resource in kubeletMay.
func (r resource) row() string { return strings.TrimPrefix(r.gvr.Group+"/"+r.Name, "/") }

func (m may) allows(verb string, own bool) bool {
	return slices.Contains(strings.Fields(m.any), verb) || own && slices.Contains(strings.Fields(m.own), verb)
}

// TestKubeletsAreConfined: what a kubelet's certificate allows, for each resource and subresource of discovery, each of
// its verbs, and objects that concern its own node or another.
func TestKubeletsAreConfined(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	mine, theirs := shared.nodeWorld(t, ns, "mine"), shared.nodeWorld(t, ns, "theirs")
	kubelet := callerOf(t, shared.as(t, "system:node:mine", "system:nodes"))
	daemons.Eventually(t, "the pod's Secret to be known as the node's", func() (string, bool) {
		got := kubelet.mustSend(t, "GET", "/api/v1/namespaces/"+ns+"/secrets/mine", "")
		return got.String(), got.code == http.StatusOK
	})
	rows := map[string]bool{}
	for _, r := range shared.discovered(t) {
		rows[r.row()] = true
		for _, verb := range r.Verbs {
			for _, world := range []*nodeWorld{mine, theirs} {
				want := kubeletMay[r.row()].allows(verb, world == mine)
				method, path, contentType := r.request(verb, world.namespaceOf(r), world.name)
				if collective(verb) {
					path += separator(path) + "fieldSelector=" + selectorOf(r) + "%3d" + world.name
				}
				world.expect(t, kubelet, r.String(), want, method, path, world.body(t, r, verb), contentType)
			}
			if collective(verb) {
				method, path, contentType := r.request(verb, mine.namespaceOf(r), "")
				mine.expect(t, kubelet, "all "+r.String(), kubeletMay[r.row()].allows(verb, false), method, path, "", contentType)
			}
		}
	}
	for row := range kubeletMay {
		if !rows[row] {
			t.Errorf("%s of the table is not in discovery", row)
		}
	}
}

// TestKubeletsByHalves: neither the name of a node nor the group of nodes alone makes a kubelet.
func TestKubeletsByHalves(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	world := shared.nodeWorld(t, ns, "whole")
	whole := callerOf(t, shared.as(t, "system:node:whole", "system:nodes"))
	path := "/api/v1/namespaces/" + ns + "/secrets/whole"
	daemons.Eventually(t, "the pod's Secret to be known as the node's", func() (string, bool) {
		got := whole.mustSend(t, "GET", path, "")
		return got.String(), got.code == http.StatusOK
	})
	for name, groups := range map[string][]string{"system:node:whole": nil, "whole": {"system:nodes"}, "system:node:": {"system:nodes"}} {
		half := callerOf(t, shared.as(t, name, groups...))
		world.expect(t, half, name, false, "GET", path, "", "")
		world.expect(t, half, name, false, "GET", "/api/v1/nodes/whole", "", "")
		world.expect(t, half, name, false, "GET", "/api/v1/services", "", "")
	}
}

// expect sends a request that is refused as forbidden, or does what it is for.
func (w *nodeWorld) expect(t *testing.T, kubelet *caller, what string, want bool, method, path, body, contentType string) {
	t.Helper()
	got := kubelet.mustSend(t, method, path, body, "Content-Type", contentType)
	done := got.code/100 == 2 || got.code == http.StatusConflict && method == "POST" // it is there already
	if want && !done || !want && got.code != http.StatusForbidden {
		t.Errorf("%s, %s %s: %v; want it allowed: %v", what, method, path, got, want)
	}
}

// selectorOf is the field that tells whose the objects of a collection are.
func selectorOf(r resource) string {
	if slices.Contains([]string{"pods", "resourceslices", "podcertificaterequests"}, r.Name) {
		return "spec.nodeName"
	}
	return "metadata.name"
}

func separator(path string) string {
	if strings.Contains(path, "?") {
		return "&"
	}
	return "?"
}

// object is the stored object of a main resource as JSON, or "" if there is none of the node's.
func (w *nodeWorld) object(t *testing.T, r resource) string {
	t.Helper()
	if w.objects[r.gvr.Resource] == nil {
		return ""
	}
	got, err := shared.of(r, w.namespaceOf(r)).Get(t.Context(), w.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(made(json.Marshal(got)).or(t))
}

// body is what a request brings along.
func (w *nodeWorld) body(t *testing.T, r resource, verb string) string {
	t.Helper()
	switch {
	case verb == "update" && w.object(t, r) != "":
		return w.object(t, r)
	case strings.HasPrefix(verb, "delete"):
		return dryDelete
	case verb != "create":
		return "{}"
	case r.Name == "serviceaccounts/token":
		return fmt.Sprintf(`{"spec":{"audiences":[],"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":%q,"uid":%q}}}`, w.name, w.pod)
	case r.Name == "pods/eviction":
		return fmt.Sprintf(`{"metadata":{"name":%q}}`, w.name)
	case r.Name == "pods":
		return w.mirror(t)
	case r.sub == "" && w.objects[r.Name] != nil && r.gvr.Group == w.objects[r.Name].GroupVersionKind().Group:
		return string(made(json.Marshal(w.objects[r.Name])).or(t))
	case w.questions[r.kindOf()] != nil && r.sub == "":
		return string(made(json.Marshal(w.questions[r.kindOf()])).or(t))
	}
	return "{}"
}
