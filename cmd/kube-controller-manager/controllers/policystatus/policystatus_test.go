package policystatus

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// schemas knows Deployments: spec.replicas is an integer.
type schemas struct{}

func (schemas) ResolveSchema(gvk schema.GroupVersionKind) (*spec.Schema, error) {
	if gvk.Kind != "Deployment" {
		return nil, resolver.ErrSchemaNotFound
	}
	object := func(properties map[string]spec.Schema) spec.Schema {
		return spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: properties}}
	}
	s := object(map[string]spec.Schema{"spec": object(map[string]spec.Schema{"replicas": {SchemaProps: spec.SchemaProps{Type: []string{"integer"}}}})})
	return &s, nil
}

func TestFaultsOfExpressionsAreWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		mapper := meta.NewDefaultRESTMapper(nil)
		mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
		policies := l.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
		loop := New(l.Informers.Admissionregistration().V1().ValidatingAdmissionPolicies(), l.Client, &validating.TypeChecker{SchemaResolver: schemas{}, RestMapper: mapper}, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Rule: admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}}}}}},
			Validations: []admissionv1.Validation{{Expression: "object.spec.replicas > 1"}, {Expression: "object.spec.replicsa > 1"}},
		}}
		if _, err := policies.Create(ctx, policy, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		status := func() *admissionv1.ValidatingAdmissionPolicy {
			t.Helper()
			synctest.Wait()
			p, err := policies.Get(ctx, "p", metav1.GetOptions{})
			if err != nil || p.Status.TypeChecking == nil || p.Status.ObservedGeneration != p.Generation {
				t.Fatalf("policy %+v, error %v", p, err)
			}
			return p
		}
		p := status()
		if w := p.Status.TypeChecking.ExpressionWarnings; len(w) != 1 || w[0].FieldRef != "spec.validations[1].expression" || !strings.Contains(w[0].Warning, "undefined field 'replicsa'") {
			t.Errorf("warnings %+v", w)
		}
		p.Spec.Validations = p.Spec.Validations[:1]
		if _, err := policies.Update(ctx, p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if w := status().Status.TypeChecking.ExpressionWarnings; len(w) != 0 {
			t.Errorf("after the repair: %+v", w)
		}
	})
}
