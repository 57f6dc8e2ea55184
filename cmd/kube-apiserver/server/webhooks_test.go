package server

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// reviewer is a webhook that notes what it is asked and answers with review.
type reviewer struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*admissionv1.AdmissionRequest
}

func newReviewer(t *testing.T, review func(*admissionv1.AdmissionRequest, *admissionv1.AdmissionResponse)) *reviewer {
	r := &reviewer{}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body admissionv1.AdmissionReview
		if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.asked = append(r.asked, body.Request)
		r.mu.Unlock()
		body.Response = &admissionv1.AdmissionResponse{UID: body.Request.UID, Allowed: true}
		review(body.Request, body.Response)
		body.Request = nil
		_ = json.NewEncoder(w).Encode(&body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *reviewer) client() admissionregistrationv1.WebhookClientConfig {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	return admissionregistrationv1.WebhookClientConfig{URL: &r.URL, CABundle: ca}
}

func rule(operation admissionregistrationv1.OperationType, group, version, resource string) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{operation},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource}},
	}}
}

// A mutating webhook sees and changes the object in the version it asked for.
func TestMutatingWebhook(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	r := newReviewer(t, func(req *admissionv1.AdmissionRequest, resp *admissionv1.AdmissionResponse) {
		resp.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
		resp.Patch = []byte(`[{"op":"add","path":"/data","value":{"by":"webhook"}}]`)
	})
	_, err := s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "m.example.com", ClientConfig: r.client(), Rules: rule("CREATE", "", "v1", "configmaps"),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: only(ns),
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), ns, metav1.DeleteOptions{})
	})
	i := 0
	eventually(t, "the webhook", func(ctx context.Context) error {
		i++
		got, err := s.client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}}, metav1.CreateOptions{})
		if err == nil && got.Data["by"] != "webhook" {
			err = fmt.Errorf("not changed: %v", got.Data)
		}
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	var seen struct{ Kind, APIVersion string }
	if err := json.Unmarshal(r.asked[0].Object.Raw, &seen); err != nil || seen.Kind != "ConfigMap" || seen.APIVersion != "v1" {
		t.Errorf("the webhook saw %s: %v", r.asked[0].Object.Raw, err)
	}
}

// A validating webhook for one version of an object is asked for requests of the other too, in its own version, with
// the old object as it was.
func TestValidatingWebhookOfAnotherVersion(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	r := newReviewer(t, func(req *admissionv1.AdmissionRequest, resp *admissionv1.AdmissionResponse) {
		if strings.Contains(string(req.Object.Raw), `"forbidden"`) {
			resp.Allowed, resp.Result = false, &metav1.Status{Message: "no such thing"}
		}
	})
	_, err := s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "v.example.com", ClientConfig: r.client(), Rules: rule("*", "autoscaling", "v2", "horizontalpodautoscalers"),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), NamespaceSelector: only(ns),
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), ns, metav1.DeleteOptions{})
	})
	hpa := func(name string) *autoscalingv1.HorizontalPodAutoscaler {
		return &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d"}, MaxReplicas: 5,
		}}
	}
	api := s.client.AutoscalingV1().HorizontalPodAutoscalers(ns)
	i := 0
	eventually(t, "the webhook", func(ctx context.Context) error {
		i++
		bad := hpa(fmt.Sprint("h", i))
		bad.Labels = map[string]string{"x": "forbidden"}
		_, err := api.Create(ctx, bad, metav1.CreateOptions{})
		if err == nil {
			return fmt.Errorf("not asked")
		}
		if !strings.Contains(err.Error(), "no such thing") {
			t.Errorf("refused for another reason: %v", err)
		}
		return nil
	})
	good, err := api.Create(t.Context(), hpa("good"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good.Spec.MaxReplicas = 7
	if _, err := api.Update(t.Context(), good, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.asked[len(r.asked)-1]
	if last.Kind.Version != "v2" || last.RequestKind.Version != "v1" {
		t.Errorf("asked for %v of a request for %v", last.Kind, last.RequestKind)
	}
	for raw, want := range map[string]string{string(last.Object.Raw): `"maxReplicas":7`, string(last.OldObject.Raw): `"maxReplicas":5`} {
		if !strings.Contains(raw, want) || !strings.Contains(raw, `"apiVersion":"autoscaling/v2"`) {
			t.Errorf("want %s in v2, got %s", want, raw)
		}
	}
}

// A policy written in CEL refuses what it says.
func TestValidatingAdmissionPolicy(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	api := s.client.AdmissionregistrationV1()
	_, err := api.ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
				{RuleWithOperations: rule("CREATE", "", "v1", "configmaps")[0]},
			}},
			Validations: []admissionregistrationv1.Validation{{Expression: "has(object.data) && 'owner' in object.data", Message: "say whose it is"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: ns, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: only(ns)},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	eventually(t, "the policy", func(ctx context.Context) error {
		i++
		_, err := s.client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}}, metav1.CreateOptions{})
		if err == nil {
			return fmt.Errorf("not refused")
		}
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "say whose it is") {
			t.Errorf("refused for another reason: %v", err)
		}
		return nil
	})
	if _, err := s.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Data: map[string]string{"owner": "me"}}, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

func only(ns string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}}
}

// An expression that does not compile is told to its author, not to those whose requests it judges.
func TestWrongExpression(t *testing.T) {
	s := serve(t)
	_, err := s.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "wrong"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
				{RuleWithOperations: rule("CREATE", "", "v1", "configmaps")[0]},
			}},
			Validations: []admissionregistrationv1.Validation{{Expression: "object.metadata.name ==", Message: "m"}},
		},
	}, metav1.CreateOptions{})
	mustBe(t, "the policy", err, apierrors.IsInvalid)
	if err != nil && !strings.Contains(err.Error(), "spec.validations[0].expression") {
		t.Errorf("the fault is not where it is: %v", err)
	}
}
