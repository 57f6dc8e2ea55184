package admission

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestTaintNodesByCondition(t *testing.T) {
	p := made(t)(newTaintNodesByCondition(nil))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	for range 2 {
		expect(t, send(t, p, req{resource: "nodes", obj: n}), "")
	}
	if len(n.Spec.Taints) != 1 || n.Spec.Taints[0].Key != "node.kubernetes.io/not-ready" || n.Spec.Taints[0].Effect != corev1.TaintEffectNoSchedule {
		t.Errorf("got %v", n.Spec.Taints)
	}
}

func TestExternalIPs(t *testing.T) {
	service := func(ips ...string) *corev1.Service {
		return &corev1.Service{ObjectMeta: objectMeta("s"), Spec: corev1.ServiceSpec{ExternalIPs: ips}}
	}
	p := made(t)(newDenyServiceExternalIPs(nil))
	for _, tc := range []struct {
		old, obj *corev1.Service
		want     string
	}{
		{nil, service(), ""},
		{nil, service("1.2.3.4"), "use of external IPs is denied by admission control"},
		{service("1.2.3.4"), service("1.2.3.4"), ""},
		{service("1.2.3.4", "5.6.7.8"), service("5.6.7.8"), ""},
		{service("1.2.3.4"), service("5.6.7.8"), "use of external IPs is denied"},
	} {
		r := req{resource: "services", obj: tc.obj}
		if tc.old != nil {
			r.op, r.old = admission.Update, tc.old
		}
		expect(t, send(t, p, r), tc.want)
	}
}

func TestNamespacePlugins(t *testing.T) {
	cm := &corev1.ConfigMap{ObjectMeta: objectMeta("x")}
	exists, _ := prepared(t, made(t)(newNamespaceExists(nil)), nil)
	expect(t, send(t, exists, req{resource: "configmaps", obj: cm}), `namespaces "ns" not found`)
	expect(t, send(t, exists, req{resource: "nodes", obj: &corev1.Node{}}), "")
	exists, _ = prepared(t, made(t)(newNamespaceExists(nil)), nil, namespace(nil, nil))
	expect(t, send(t, exists, req{resource: "configmaps", obj: cm}), "")

	provision, client := prepared(t, made(t)(newNamespaceAutoProvision(nil)), nil)
	expect(t, send(t, provision, req{resource: "configmaps", obj: cm, dryRun: true}), "")
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "ns", metav1.GetOptions{}); err == nil {
		t.Error("a dry run made a namespace")
	}
	expect(t, send(t, provision, req{resource: "configmaps", obj: cm}), "")
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "ns", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestAlwaysDenyAndAdmit(t *testing.T) {
	cm := &corev1.ConfigMap{ObjectMeta: objectMeta("x")}
	expect(t, send(t, made(t)(newAlwaysDeny(nil)), req{resource: "configmaps", obj: cm}), "admission control is denying all modifications")
	expect(t, send(t, made(t)(newAlwaysAdmit(nil)), req{resource: "configmaps", obj: cm}), "")
}

func TestOwnerReferences(t *testing.T) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, meta.RESTScopeNamespace)
	owned := func(block bool) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: "1", BlockOwnerDeletion: &block}}
		})
	}
	for _, tc := range []struct {
		name     string
		grants   []string
		obj, old *corev1.Pod
		want     string
		sub      string // of pods
	}{
		{"created with an owner", nil, owned(false), nil, "", ""},
		{"created blocking its owner", nil, owned(true), nil, "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on", ""},
		{"created blocking, with the right", []string{"update replicasets.finalizers/rs"}, owned(true), nil, "", ""},
		{"owner added", nil, owned(false), pod(nil), "cannot set an ownerRef on a resource you can't delete", ""},
		{"owner added, with the right", []string{"delete pods/p"}, owned(false), pod(nil), "", ""},
		{"owner taken away", nil, pod(nil), owned(false), "cannot set an ownerRef on a resource you can't delete", ""},
		{"nothing changed", nil, owned(true), owned(true), "", ""},
		{"owner added by the kubelet", nil, owned(false), pod(nil), "", "/status"},
		{"owner added with a debugging container", nil, owned(false), pod(nil), "", "/ephemeralcontainers"},
		{"owner added by another subresource", nil, owned(false), pod(nil), "cannot set an ownerRef on a resource you can't delete", "/resize"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := made(t)(newOwnerReferences(nil))
			p.(*ownerReferences).SetRESTMapper(mapper)
			p, _ = prepared(t, p, grants(tc.grants...))
			r := req{resource: "pods" + tc.sub, obj: tc.obj}
			if tc.old != nil {
				r.op, r.old = admission.Update, tc.old
			}
			expect(t, send(t, p, r), tc.want)
		})
	}
}

func TestEventRateLimit(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	event := func(ns string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "e"}, InvolvedObject: corev1.ObjectReference{Name: "o"}}
	}
	p := made(t)(newEventLimits(eventRateLimitConfig{Limits: []eventLimitConfig{{Type: "Namespace", QPS: 1, Burst: 2}}}, clk))
	for i, want := range []string{"", "", "limit reached on type Namespace for key a"} {
		if err := send(t, p, req{resource: "events", obj: event("a")}); (err != nil) != (want != "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("event %d: %v", i, err)
		}
	}
	expect(t, send(t, p, req{resource: "events", obj: event("b")}), "")
	expect(t, send(t, p, req{resource: "events", obj: event("a"), dryRun: true}), "")
	clk.Step(time.Second)
	expect(t, send(t, p, req{resource: "events", obj: event("a")}), "")

	byUser := made(t)(newEventLimits(eventRateLimitConfig{Limits: []eventLimitConfig{{Type: "User", QPS: 1, Burst: 1}}}, clk))
	expect(t, send(t, byUser, req{resource: "events", obj: event("a")}), "")
	expect(t, send(t, byUser, req{resource: "events", obj: event("b")}), "limit reached on type User for key ann")
	expect(t, send(t, byUser, req{resource: "events", obj: event("b"), user: &user.DefaultInfo{Name: "bob"}}), "")
}

func TestPluginConfigurationsAreStrict(t *testing.T) {
	for name, tc := range map[string]struct {
		factory admission.Factory
		config  string
		want    string
	}{
		"event limit without limits":  {newEventRateLimit, "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\n", "limits: Required value"},
		"event limit of unknown type": {newEventRateLimit, "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\nlimits: [{type: Node, qps: 1, burst: 1}]\n", `limits[0].type: Unsupported value: "Node"`},
		"event limit of zero":         {newEventRateLimit, "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\nlimits: [{type: User, burst: 1}]\n", "qps and burst must be positive"},
		"unknown field":               {newEventRateLimit, "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\nlimit: []\n", `unknown field "limit"`},
		"wrong kind":                  {newPodTolerationRestriction, "apiVersion: v1\nkind: Pod\n", `is v1 "Pod"`},
		"image policy without file":   {newImagePolicy, "imagePolicy: {}\n", "imagePolicy.kubeConfigFile: Required value"},
		"image policy out of bounds":  {newImagePolicy, "imagePolicy: {kubeConfigFile: x, allowTTL: 999999}\n", "imagePolicy.allowTTL: 277h46m39s is not between"},
		"pod security of wrong level": {newPodSecurity, "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefault: {}\n", `unknown field "default"`},
	} {
		_, err := tc.factory(strings.NewReader(tc.config))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	for _, factory := range []admission.Factory{newEventRateLimit, newImagePolicy} {
		if _, err := factory(nil); err == nil || !strings.Contains(err.Error(), "--admission-control-config-file") {
			t.Errorf("without configuration: %v", fmt.Sprint(err))
		}
	}
}
