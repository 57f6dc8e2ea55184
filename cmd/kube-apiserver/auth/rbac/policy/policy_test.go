package policy_test

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	rbacvalidation "k8s.io/component-helpers/auth/rbac/validation"

	"pilotis.dev/cmd/kube-apiserver/auth/rbac/policy"
)

func TestNamesAreUniqueAndRolesOfBindingsExist(t *testing.T) {
	p := policy.Default()
	roles := map[string]bool{}
	for _, r := range p.ClusterRoles {
		if roles[r.Name] {
			t.Errorf("ClusterRole %s is there twice", r.Name)
		}
		roles[r.Name] = true
		if r.Labels["kubernetes.io/bootstrapping"] != "rbac-defaults" || r.Annotations[rbacv1.AutoUpdateAnnotationKey] != "true" {
			t.Errorf("ClusterRole %s is not marked as a default: %v %v", r.Name, r.Labels, r.Annotations)
		}
	}
	bound := map[string]bool{}
	for _, b := range p.ClusterRoleBindings {
		if bound[b.Name] {
			t.Errorf("ClusterRoleBinding %s is there twice", b.Name)
		}
		bound[b.Name] = true
		if !roles[b.RoleRef.Name] {
			t.Errorf("ClusterRoleBinding %s refers to missing ClusterRole %s", b.Name, b.RoleRef.Name)
		}
	}
	for _, r := range p.Roles {
		roles[r.Namespace+"/"+r.Name] = true
	}
	for _, b := range p.RoleBindings {
		if !roles[b.Namespace+"/"+b.RoleRef.Name] {
			t.Errorf("RoleBinding %s/%s refers to missing Role %s", b.Namespace, b.Name, b.RoleRef.Name)
		}
	}
}

func TestRolesOfTheDocumentationExist(t *testing.T) {
	have := map[string]bool{}
	for _, r := range policy.Default().ClusterRoles {
		have[r.Name] = true
	}
	for _, name := range strings.Fields(`
		cluster-admin admin edit view system:basic-user system:discovery system:public-info-viewer system:monitoring
		system:kube-scheduler system:volume-scheduler system:kube-controller-manager system:node system:node-proxier
		system:auth-delegator system:kube-aggregator system:kube-dns system:kubelet-api-admin system:node-bootstrapper
		system:node-problem-detector system:persistent-volume-provisioner system:service-account-issuer-discovery
		system:certificates.k8s.io:certificatesigningrequests:nodeclient
		system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
		system:certificates.k8s.io:kube-apiserver-client-approver
		system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
		system:certificates.k8s.io:kubelet-serving-approver system:certificates.k8s.io:legacy-unknown-approver
		system:controller:attachdetach-controller system:controller:certificate-controller
		system:controller:clusterrole-aggregation-controller system:controller:cronjob-controller
		system:controller:daemon-set-controller system:controller:deployment-controller
		system:controller:disruption-controller system:controller:endpoint-controller
		system:controller:endpointslice-controller system:controller:endpointslicemirroring-controller
		system:controller:expand-controller system:controller:generic-garbage-collector
		system:controller:horizontal-pod-autoscaler system:controller:job-controller
		system:controller:namespace-controller system:controller:node-controller
		system:controller:persistent-volume-binder system:controller:pod-garbage-collector
		system:controller:pv-protection-controller system:controller:pvc-protection-controller
		system:controller:replicaset-controller system:controller:replication-controller
		system:controller:resourcequota-controller system:controller:root-ca-cert-publisher
		system:controller:route-controller system:controller:service-account-controller
		system:controller:service-controller system:controller:statefulset-controller
		system:controller:ttl-controller`) {
		if !have[name] {
			t.Errorf("ClusterRole %s is missing", name)
		}
	}
}

func clusterRole(t *testing.T, name string) rbacv1.ClusterRole {
	t.Helper()
	for _, r := range policy.Default().ClusterRoles {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no ClusterRole %s", name)
	return rbacv1.ClusterRole{}
}

func TestEditorsCannotRedirectTraffic(t *testing.T) {
	for _, name := range []string{"system:aggregate-to-view", "system:aggregate-to-edit", "system:aggregate-to-admin"} {
		rules := clusterRole(t, name).Rules
		for _, asked := range []rbacv1.PolicyRule{
			{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"endpoints"}},
			{Verbs: []string{"update"}, APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}},
		} {
			if ok, _ := rbacvalidation.Covers(rules, []rbacv1.PolicyRule{asked}); ok {
				t.Errorf("%s allows %v", name, asked)
			}
		}
	}
}

func TestViewersSeeNoSecretsAndNoRoles(t *testing.T) {
	for _, r := range clusterRole(t, "system:aggregate-to-view").Rules {
		for _, res := range []string{"secrets", "roles", "rolebindings", "*"} {
			if slices.Contains(r.Resources, res) {
				t.Errorf("view allows %v", r)
			}
		}
	}
}

func TestReconcileAddsAndKeeps(t *testing.T) {
	ctx := t.Context()
	client := fake.NewClientset()
	want := policy.Default()
	if err := want.Reconcile(ctx, client); err != nil {
		t.Fatal(err)
	}
	roles, err := client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil || len(roles.Items) != len(want.ClusterRoles) {
		t.Fatalf("got %d ClusterRoles (%v), want %d", len(roles.Items), err, len(want.ClusterRoles))
	}

	// an administrator adds a rule, takes another away, and protects a third role
	view, _ := client.RbacV1().ClusterRoles().Get(ctx, "system:discovery", metav1.GetOptions{})
	own := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/own"}}
	view.Rules = []rbacv1.PolicyRule{own}
	if _, err := client.RbacV1().ClusterRoles().Update(ctx, view, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	protected, _ := client.RbacV1().ClusterRoles().Get(ctx, "system:monitoring", metav1.GetOptions{})
	protected.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
	protected.Rules = nil
	if _, err := client.RbacV1().ClusterRoles().Update(ctx, protected, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := len(client.Actions())
	if err := want.Reconcile(ctx, client); err != nil {
		t.Fatal(err)
	}
	var writes []string
	for _, a := range client.Actions()[before:] {
		if v := a.GetVerb(); v != "get" && v != "list" {
			writes = append(writes, v+" "+a.GetResource().Resource)
		}
	}
	if len(writes) != 1 || writes[0] != "update clusterroles" {
		t.Errorf("second start wrote %v, want one update of the changed role", writes)
	}
	got, _ := client.RbacV1().ClusterRoles().Get(ctx, "system:discovery", metav1.GetOptions{})
	if ok, _ := rbacvalidation.Covers(got.Rules, []rbacv1.PolicyRule{own}); !ok {
		t.Errorf("the administrator's rule was lost: %v", got.Rules)
	}
	if ok, missing := rbacvalidation.Covers(got.Rules, clusterRole(t, "system:discovery").Rules); !ok {
		t.Errorf("rules are missing: %v", missing)
	}
	if got, _ := client.RbacV1().ClusterRoles().Get(ctx, "system:monitoring", metav1.GetOptions{}); len(got.Rules) != 0 {
		t.Errorf("the protected role was changed: %v", got.Rules)
	}
}
