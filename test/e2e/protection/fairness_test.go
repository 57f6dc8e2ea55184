package protection

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/daemons"
)

// Mandatory objects come back whatever is done to them; suggested ones as long as their annotation says so.
func TestFlowObjectsAreKept(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx, flow := t.Context(), s.client.FlowcontrolV1()
	for name, annotation := range map[string]string{"exempt": "true", "catch-all": "true", "system-nodes": "true", "service-accounts": "true", "probes": "true"} {
		daemons.Eventually(t, "FlowSchema "+name, func() (string, bool) {
			got, err := flow.FlowSchemas().Get(ctx, name, metav1.GetOptions{})
			return fmt.Sprint(err), err == nil && got.Annotations[flowcontrolv1.AutoUpdateAnnotationKey] == annotation
		})
	}
	for _, name := range []string{"exempt", "catch-all", "workload-low", "global-default", "leader-election", "node-high", "system"} {
		_, err := flow.PriorityLevelConfigurations().Get(ctx, name, metav1.GetOptions{})
		must(t, err)
	}
	patch := func(name, body string) {
		t.Helper()
		_, err := flow.FlowSchemas().Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		must(t, err)
	}
	is := func(name string, precedence int32) {
		t.Helper()
		daemons.Eventually(t, fmt.Sprintf("%s to have precedence %d", name, precedence), func() (string, bool) {
			got, err := flow.FlowSchemas().Get(ctx, name, metav1.GetOptions{})
			return fmt.Sprint(got, err), err == nil && got.Spec.MatchingPrecedence == precedence
		})
	}
	patch("service-accounts", `{"spec":{"matchingPrecedence":8000},"metadata":{"annotations":{"apf.kubernetes.io/autoupdate-spec":"false"}}}`)
	patch("system-nodes", `{"spec":{"matchingPrecedence":8001}}`)
	patch("catch-all", `{"spec":{"matchingPrecedence":8002}}`)
	must(t, flow.FlowSchemas().Delete(ctx, "exempt", metav1.DeleteOptions{}))
	must(t, flow.FlowSchemas().Delete(ctx, "probes", metav1.DeleteOptions{}))
	is("system-nodes", 500)
	is("catch-all", 10000)
	is("exempt", 1)
	is("probes", 2)
	is("service-accounts", 8000) // and it stays so, once the others are back
}

// slowHook makes creations of ConfigMaps with the label slow wait until they are released.
func slowHook(t *testing.T, s *server, release <-chan struct{}) {
	t.Helper()
	hook := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		http.Error(w, "released", http.StatusInternalServerError)
	}))
	body := fmt.Sprintf(`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"slow"},"webhooks":[{"name":"slow.example.com",
		"failurePolicy":"Ignore","sideEffects":"None","timeoutSeconds":30,"admissionReviewVersions":["v1"],"clientConfig":{"url":%q,"caBundle":%q},
		"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}],"objectSelector":{"matchLabels":{"slow":"yes"}}}]}`, hook.url, encodeStd(hook.authority))
	if got := send(t, s.admin, "POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", body); got.code != 201 {
		t.Fatal(got)
	}
	daemons.Eventually(t, "the webhook to be called", func() (string, bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := slowCreate(ctx, t, s.admin)
		return fmt.Sprint(err), err != nil
	})
}

// slowCreate creates, which ends when the webhook is released or ctx is over.
func slowCreate(ctx context.Context, t *testing.T, config *rest.Config) error {
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"slow-","labels":{"slow":"yes"}}}`
	return clientOf(t, config).CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/default/configmaps").Param("dryRun", "All").MaxRetries(0).Body([]byte(body)).Do(ctx).Error()
}

// A flood in one flow waits in its own queue; another flow is served meanwhile.
func TestFloodDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	s := serve(t, "--max-requests-inflight=20", "--max-mutating-requests-inflight=10")
	for _, body := range []string{
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"all"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"flood"},{"kind":"User","name":"calm"}]}`,
	} {
		if got := send(t, s.admin, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body); got.code != 201 {
			t.Fatal(got)
		}
	}
	release := make(chan struct{})
	slowHook(t, s, release)
	var flood sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	go func() { // what the flood asks for takes its time
		for ctx.Err() == nil {
			select {
			case release <- struct{}{}:
			case <-ctx.Done():
			}
			time.Sleep(50 * time.Millisecond) // the pace of the flood
		}
	}()
	flooder := s.as(t, "flood")
	for range 100 {
		flood.Go(func() {
			for ctx.Err() == nil {
				_ = slowCreate(ctx, t, flooder) // some are refused
			}
		})
	}
	daemons.Eventually(t, "the flood to wait in a queue", func() (string, bool) {
		got := get(t, s.admin, "/debug/api_priority_and_fairness/dump_requests")
		return got.String(), strings.Contains(got.body, "flood")
	})
	calm := s.as(t, "calm")
	for range 10 {
		began := time.Now()
		got := get(t, calm, configMaps)
		if took := time.Since(began); got.code != 200 || took > 10*time.Second {
			t.Errorf("the calm user is answered %v after %v", got, took)
		}
	}
	schema, err := s.client.FlowcontrolV1().FlowSchemas().Get(t.Context(), "global-default", metav1.GetOptions{})
	must(t, err)
	level, err := s.client.FlowcontrolV1().PriorityLevelConfigurations().Get(t.Context(), "global-default", metav1.GetOptions{})
	must(t, err)
	if got := get(t, calm, configMaps).header; got.Get("X-Kubernetes-PF-FlowSchema-UID") != string(schema.UID) || got.Get("X-Kubernetes-PF-PriorityLevel-UID") != string(level.UID) {
		t.Errorf("headers %v, want %s and %s", got, schema.UID, level.UID)
	}
	for _, dump := range []string{"dump_priority_levels", "dump_queues"} {
		if got := get(t, s.admin, "/debug/api_priority_and_fairness/"+dump); got.code != 200 || !strings.Contains(got.body, "global-default") {
			t.Errorf("%s: %v", dump, got)
		}
	}
	stop()
	flood.Wait()
}

// Without priority and fairness the numbers of requests are limited, and who comes too late is told to come back.
func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	s := serve(t, "--enable-priority-and-fairness=false", "--max-requests-inflight=20", "--max-mutating-requests-inflight=2")
	release := make(chan struct{})
	slowHook(t, s, release)
	send(t, s.admin, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		`{"metadata":{"name":"all"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"flood"}]}`)
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	flooder := s.as(t, "flood")
	for range 10 {
		flood.Go(func() {
			for ctx.Err() == nil {
				if err := slowCreate(ctx, t, flooder); err != nil && !apierrors.IsTooManyRequests(err) {
					return
				}
			}
		})
	}
	daemons.Eventually(t, "429 with Retry-After", func() (string, bool) {
		got := send(t, flooder, "DELETE", configMaps+"/none", "")
		return got.String(), got.code == http.StatusTooManyRequests && got.header.Get("Retry-After") != ""
	})
	if got := get(t, flooder, configMaps); got.code != 200 {
		t.Errorf("reads have a limit of their own: %v", got)
	}
	close(release)
	stop()
	flood.Wait()
}
