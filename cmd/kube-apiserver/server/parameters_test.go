package server

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// clusterUser is a client with the rights of a role in all namespaces.
func (s *testServer) clusterUser(t *testing.T, name string, rules ...rbacv1.PolicyRule) kubernetes.Interface {
	t.Helper()
	ctx := t.Context()
	if _, err := s.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: name}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s.as(t, name)
}

func policyOf(name, apiVersion, kind string) *admissionregistrationv1.ValidatingAdmissionPolicy {
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			ParamKind: &admissionregistrationv1.ParamKind{APIVersion: apiVersion, Kind: kind},
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
				{RuleWithOperations: rule("CREATE", "", "v1", "podtemplates")[0]},
			}},
			Validations: []admissionregistrationv1.Validation{{Expression: "true"}},
		},
	}
}

// A policy tells of its parameters, so nobody gives it some that he cannot read.
func TestReadableParameters(t *testing.T) {
	s := serve(t)
	ns, ctx := s.namespace(t), t.Context()
	author := s.clusterUser(t, "policy-author",
		rbacv1.PolicyRule{APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}).AdmissionregistrationV1()
	eventually(t, "the rights of the author", func(ctx context.Context) error {
		_, err := author.ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
		return err
	})
	refused := func(what string, err error, want string) {
		t.Helper()
		mustBe(t, what, err, apierrors.IsInvalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	for _, k := range []string{"Secret", "Nonsense"} {
		_, err := author.ValidatingAdmissionPolicies().Create(ctx, policyOf("params-refused", "v1", k), metav1.CreateOptions{})
		refused("parameters of kind "+k, err,
			`spec.paramKind: Forbidden: user "policy-author" must have "get" permission on all objects of the referenced paramKind (kind=`+k+`, apiVersion=v1)`)
	}
	if _, err := author.ValidatingAdmissionPolicies().Create(ctx, policyOf("params-maps", "v1", "ConfigMap"), metav1.CreateOptions{}); err != nil {
		t.Fatalf("readable parameters: %v", err)
	}
	_, err := author.ValidatingAdmissionPolicies().Patch(ctx, "params-maps", types.MergePatchType, []byte(`{"spec":{"paramKind":{"kind":"Secret"}}}`), metav1.PatchOptions{})
	refused("other parameters", err, "spec.paramKind: Forbidden")
	if _, err := s.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, policyOf("params-secrets", "v1", "Secret"), metav1.CreateOptions{}); err != nil {
		t.Fatalf("parameters of an administrator: %v", err)
	}
	if _, err := author.ValidatingAdmissionPolicies().Patch(ctx, "params-secrets", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("a label beside unreadable parameters: %v", err)
	}
	for _, tt := range []struct {
		name, policy string
		ref          admissionregistrationv1.ParamRef
		want         string
	}{
		{"params-by-name", "params-maps", admissionregistrationv1.ParamRef{Name: "c", Namespace: ns}, ""},
		{"params-selected", "params-maps", admissionregistrationv1.ParamRef{Selector: &metav1.LabelSelector{}}, `user "policy-author" does not have "list" permission on the object referenced by paramRef`},
		{"params-of-secrets", "params-secrets", admissionregistrationv1.ParamRef{Name: "c", Namespace: ns}, `spec.paramRef: Forbidden: user "policy-author" does not have "get" permission`},
		{"params-of-nothing", "params-missing", admissionregistrationv1.ParamRef{Name: "c", Namespace: ns}, "spec.paramRef: Forbidden"},
	} {
		tt.ref.ParameterNotFoundAction = ptr.To(admissionregistrationv1.AllowAction)
		_, err := author.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: tt.name},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: tt.policy, ParamRef: &tt.ref, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit},
				MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: only(ns)},
			},
		}, metav1.CreateOptions{})
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		refused(tt.name, err, tt.want)
	}
	_, err = author.MutatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "params-refused"},
		Spec:       admissionregistrationv1.MutatingAdmissionPolicySpec{ParamKind: &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "Secret"}},
	}, metav1.CreateOptions{})
	refused("parameters of a mutating policy", err, "spec.paramKind: Forbidden")
	_, err = author.MutatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "params-refused"},
		Spec:       admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "params-missing", ParamRef: &admissionregistrationv1.ParamRef{Name: "c"}},
	}, metav1.CreateOptions{})
	refused("parameters of a mutating binding", err, "spec.paramRef: Forbidden")
}
