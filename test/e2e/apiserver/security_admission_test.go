package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/e2e/daemons"
)

// validate asks the backend about updates of a resource.
func (s *server) validate(t *testing.T, name string, b *backend, resource string, selector *metav1.LabelSelector) {
	t.Helper()
	made(s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: name + ".example.com", SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"}, ObjectSelector: selector,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &b.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw})},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{resource, resource + "/*"}},
			}},
		}},
	}, metav1.CreateOptions{})).or(t)
}

// CVE-2021-25735: what a webhook is told of the old Node is what was stored, in every field and by every way to change it.
func TestWebhookSeesTheStoredNode(t *testing.T) {
	t.Parallel()
	var seen atomic.Pointer[corev1.Node]
	hook := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		old := &corev1.Node{}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: json.Unmarshal(review.Request.OldObject.Raw, old) == nil}
		seen.Store(old)
		_ = json.NewEncoder(w).Encode(&review)
	})
	node := shared.node(t, "reviewed", 10250, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.0.2.1"})
	api := shared.client.CoreV1().Nodes()
	label := func(value string) error {
		_, err := api.Patch(t.Context(), node.Name, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"reviewed":%q}},"spec":{"taints":[{"key":"k","value":%q,"effect":"NoSchedule"}]}}`, value, value), metav1.PatchOptions{})
		return err
	}
	if err := label("first"); err != nil {
		t.Fatal(err)
	}
	shared.validate(t, "nodes", hook, "nodes", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "reviewed", Operator: metav1.LabelSelectorOpExists}}})
	daemons.Eventually(t, "the webhook to be asked", func() (string, bool) { return "", label("first") == nil && len(hook.paths()) > 0 })
	for i, change := range []func(*corev1.Node) error{
		func(n *corev1.Node) error { return label("patched") },
		func(n *corev1.Node) error {
			n.Labels["reviewed"], n.Spec.Taints = "updated", []corev1.Taint{{Key: "k", Value: "updated", Effect: corev1.TaintEffectNoExecute}}
			_, err := api.Update(t.Context(), n, metav1.UpdateOptions{})
			return err
		},
		func(n *corev1.Node) error {
			n.Labels["reviewed"], n.Status.Conditions = "status", []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
			_, err := api.UpdateStatus(t.Context(), n, metav1.UpdateOptions{})
			return err
		},
		func(n *corev1.Node) error {
			_, err := api.PatchStatus(t.Context(), n.Name, []byte(`{"status":{"capacity":{"cpu":"8"}}}`))
			return err
		},
	} {
		stored := made(api.Get(t.Context(), node.Name, metav1.GetOptions{})).or(t)
		if err := change(stored.DeepCopy()); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
		told := seen.Load()
		told.TypeMeta = metav1.TypeMeta{} // which typed clients leave out
		if want, got := made(json.Marshal(stored)).or(t), made(json.Marshal(told)).or(t); string(want) != string(got) {
			t.Errorf("change %d: the webhook was told of\n%s\nstored was\n%s", i, got, want)
		}
	}
}

// CVE-2020-8561: a webhook cannot make the API server ask another address.
func TestWebhookRedirectIsRefused(t *testing.T) {
	t.Parallel()
	target := newBackend(t, func(http.ResponseWriter, *http.Request) {})
	hook := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL+"/internal", http.StatusTemporaryRedirect)
	})
	node := shared.node(t, "redirected", 10250)
	label := func() error {
		_, err := shared.client.CoreV1().Nodes().Patch(t.Context(), node.Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"redirected":"yes"}}}`), metav1.PatchOptions{})
		return err
	}
	if err := label(); err != nil {
		t.Fatal(err)
	}
	shared.validate(t, "redirects", hook, "nodes", &metav1.LabelSelector{MatchLabels: map[string]string{"redirected": "yes"}})
	var err error
	daemons.Eventually(t, "the webhook to be asked", func() (string, bool) { err = label(); return "", len(hook.paths()) > 0 })
	if err == nil || !strings.Contains(err.Error(), "redirects of webhooks are not followed") {
		t.Errorf("the request: %v", err)
	}
	if asked := target.paths(); len(asked) > 0 {
		t.Errorf("the redirect was followed to %v", asked)
	}
}

// Who may create an object may not by that hold up the deletion of another's, nor have an object deleted with an owner.
func TestOwnerReferencesNeedRights(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	owner := made(shared.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{})).or(t)
	owned := func(name string, block bool) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: &block},
		}}}
	}
	create := rule("create,update,patch", "", "secrets")
	writer := shared.clientOf(t, shared.user(t, ns, "writer-"+ns, create)).CoreV1().Secrets(ns)
	_, err := writer.Create(t.Context(), owned("blocking", true), metav1.CreateOptions{})
	refused(t, "blockOwnerDeletion without the right to set the owner's finalizers", err, apierrors.IsForbidden)
	made(writer.Create(t.Context(), owned("plain", false), metav1.CreateOptions{})).or(t)
	block := []byte(fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":%q,"blockOwnerDeletion":true}]}}`, owner.UID))
	_, err = writer.Patch(t.Context(), "plain", types.MergePatchType, block, metav1.PatchOptions{})
	refused(t, "a new owner reference without the right to delete the object", err, apierrors.IsForbidden)

	deleter := shared.clientOf(t, shared.user(t, ns, "deleter-"+ns, rule("delete,patch", "", "secrets"))).CoreV1().Secrets(ns)
	_, err = deleter.Patch(t.Context(), "plain", types.MergePatchType, block, metav1.PatchOptions{})
	refused(t, "blockOwnerDeletion by a patch", err, apierrors.IsForbidden)

	finalizer := shared.clientOf(t, shared.user(t, ns, "finalizer-"+ns, create, rule("update", "", "configmaps/finalizers"))).CoreV1().Secrets(ns)
	made(finalizer.Create(t.Context(), owned("blocking", true), metav1.CreateOptions{})).or(t)
}

// CVE-2023-2727, CVE-2023-2728 and CVE-2024-3177: a service account that may mount only its own Secrets may not read
// others in ephemeral containers or by envFrom.
func TestMountableSecretsInEveryContainer(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	made(shared.client.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "bounded", Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}},
		Secrets:    []corev1.ObjectReference{{Name: "own"}},
	}, metav1.CreateOptions{})).or(t)
	reads := func(secret string) []corev1.Container {
		return []corev1.Container{{Name: "r", Image: "i", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}}
	}
	create := func(name string, change func(*corev1.Pod)) error {
		p := podObject(name, "")
		p.Spec.ServiceAccountName = "bounded"
		change(p)
		_, err := shared.client.CoreV1().Pods(ns).Create(t.Context(), p, metav1.CreateOptions{})
		return err
	}
	daemons.Eventually(t, "the service account to be known", func() (string, bool) {
		err := create("fine", func(p *corev1.Pod) { p.Spec.Containers = reads("own") })
		return fmt.Sprint(err), err == nil
	})
	refused(t, "envFrom of a container", create("c", func(p *corev1.Pod) { p.Spec.Containers = reads("other") }), apierrors.IsForbidden)
	refused(t, "envFrom of an init container", create("i", func(p *corev1.Pod) { p.Spec.InitContainers = reads("other") }), apierrors.IsForbidden)
	debug := func(secret string) error {
		p := made(shared.client.CoreV1().Pods(ns).Get(t.Context(), "fine", metav1.GetOptions{})).or(t)
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", Image: "i", EnvFrom: reads(secret)[0].EnvFrom}}}
		_, err := shared.client.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), "fine", p, metav1.UpdateOptions{})
		return err
	}
	refused(t, "envFrom of an ephemeral container", debug("other"), apierrors.IsForbidden)
	if err := debug("own"); err != nil {
		t.Errorf("an ephemeral container that reads what is allowed: %v", err)
	}
}

// CVE-2021-25737: no endpoint is an address of the machine that sends to it.
func TestEndpointsKeepOffLoopback(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	for i, ip := range []string{"127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "::1", "fe80::1"} {
		family := discoveryv1.AddressTypeIPv4
		if strings.Contains(ip, ":") {
			family = discoveryv1.AddressTypeIPv6
		}
		_, err := shared.client.DiscoveryV1().EndpointSlices(ns).Create(t.Context(), &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("s", i)}, AddressType: family, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip}}},
		}, metav1.CreateOptions{})
		refused(t, "an EndpointSlice with "+ip, err, apierrors.IsInvalid)
		_, err = shared.client.CoreV1().Endpoints(ns).Create(t.Context(), &corev1.Endpoints{ //nolint:staticcheck // they are served still
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("e", i)}, Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: ip}}, Ports: []corev1.EndpointPort{{Port: 80}}}},
		}, metav1.CreateOptions{})
		refused(t, "Endpoints with "+ip, err, apierrors.IsInvalid)
	}
}

// CVE-2020-8554: nobody takes over the traffic to an address by a Service's externalIPs. The administrator's switch is
// tried by TestOtherServer.
func TestExternalIPsAreRefused(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	_, err := shared.client.CoreV1().Services(ns).Create(t.Context(), externalIPs("hijack"), metav1.CreateOptions{})
	refused(t, "a Service with externalIPs", err, apierrors.IsForbidden)
	if err != nil && !strings.Contains(err.Error(), "--disable-admission-plugins=DenyServiceExternalIPs") {
		t.Errorf("the message does not tell the switch: %v", err)
	}
	plain := externalIPs("plain")
	plain.Spec.ExternalIPs = nil
	made(shared.client.CoreV1().Services(ns).Create(t.Context(), plain, metav1.CreateOptions{})).or(t)
	_, err = shared.client.CoreV1().Services(ns).Patch(t.Context(), "plain", types.MergePatchType, []byte(`{"spec":{"externalIPs":["192.0.2.53"]}}`), metav1.PatchOptions{})
	refused(t, "externalIPs by a patch", err, apierrors.IsForbidden)
}

func externalIPs(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{ExternalIPs: []string{"192.0.2.53"}, Ports: []corev1.ServicePort{{Port: 53}}}}
}

// CVE-2021-25740: editors of a namespace cannot send the traffic of its Services to other namespaces. Who shall, gets a
// role of his own.
func TestEditorsDoNotWriteEndpoints(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	user := "admin-of-" + ns
	for _, part := range []string{"view", "edit", "admin"} { // what the controller manager aggregates into the role admin
		shared.bind(t, ns, user, "system:aggregate-to-"+part)
	}
	for _, allowed := range []authorizationv1.ResourceAttributes{
		{Verb: "create", Resource: "services", Namespace: ns}, {Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: ns},
		{Verb: "list", Resource: "endpoints", Namespace: ns}, {Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: ns},
	} {
		daemons.Eventually(t, user+" may "+allowed.Verb+" "+allowed.Resource, func() (string, bool) { return "", shared.may(t, user, &allowed) })
	}
	for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
		for resource, group := range map[string]string{"endpoints": "", "endpointslices": "discovery.k8s.io"} {
			if shared.may(t, user, &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: ns}) {
				t.Errorf("an administrator of a namespace may %s %s", verb, resource)
			}
		}
	}
}
