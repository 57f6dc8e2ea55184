package rbac

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// resolverWith fills the caches without running informers.
func resolverWith(t *testing.T, objects ...runtime.Object) *Resolver {
	t.Helper()
	api := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Rbac().V1()
	r, err := NewResolver(api)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range objects {
		uid := types.UID(string(rune('a' + i)))
		switch o := o.(type) {
		case *rbacv1.Role:
			err = api.Roles().Informer().GetIndexer().Add(o)
		case *rbacv1.ClusterRole:
			err = api.ClusterRoles().Informer().GetIndexer().Add(o)
		case *rbacv1.RoleBinding:
			o.UID = uid
			err = api.RoleBindings().Informer().GetIndexer().Add(o)
		case *rbacv1.ClusterRoleBinding:
			o.UID = uid
			err = api.ClusterRoleBindings().Informer().GetIndexer().Add(o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), ResourceNames: names}
}

func paths(urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: urls}
}

func subject(kind, namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: kind, Namespace: namespace, Name: name}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: named("", name), Rules: rules}
}

func role(ns, name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: named(ns, name), Rules: rules}
}

func clusterBinding(role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: named("", "bind-"+role), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: subjects}
}

func binding(ns, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: named(ns, "bind-"+role), RoleRef: rbacv1.RoleRef{Kind: kind, Name: role}, Subjects: subjects}
}

func person(name string, groups ...string) user.Info {
	return &user.DefaultInfo{Name: name, Groups: groups}
}

// ask is "verb group/resource[/subresource] [namespace[/name]]" or "verb /path".
func ask(u user.Info, text string) authorizer.Attributes {
	f := strings.Fields(text)
	a := authorizer.AttributesRecord{User: u, Verb: f[0]}
	if strings.HasPrefix(f[1], "/") {
		a.Path = f[1]
		return a
	}
	a.ResourceRequest = true
	parts := strings.Split(f[1], "/")
	a.APIGroup, a.Resource = parts[0], parts[1]
	if a.APIGroup == "core" {
		a.APIGroup = ""
	}
	if len(parts) > 2 {
		a.Subresource = parts[2]
	}
	if len(f) > 2 {
		ns, name, _ := strings.Cut(f[2], "/")
		if ns != "-" {
			a.Namespace = ns
		}
		a.Name = name
	}
	return a
}

func TestMatrix(t *testing.T) {
	z := NewAuthorizer(resolverWith(t,
		clusterRole("admin", rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}),
		clusterRole("nodes-reader", rule("get,list", "", "nodes")),
		clusterRole("info", paths("/healthz", "/healthz/*", "/version")),
		clusterRole("scaler", rule("get,update", "*", "*/scale")),
		clusterRole("pods-reader", rule("get,list", "", "pods,pods/log")),
		clusterRole("one-secret", rule("get", "", "secrets", "mine")),
		role("dev", "deployer", rule("create,update", "apps", "deployments")),
		clusterBinding("admin", subject("Group", "", "admins")),
		clusterBinding("nodes-reader", subject("User", "", "ann"), subject("ServiceAccount", "ops", "watcher")),
		clusterBinding("info", subject("Group", "", "system:unauthenticated")),
		clusterBinding("scaler", subject("User", "", "hpa")),
		binding("dev", "ClusterRole", "pods-reader", subject("User", "", "ann"), subject("Group", "", "devs")),
		binding("dev", "ClusterRole", "one-secret", subject("User", "", "ann")),
		binding("dev", "Role", "deployer", subject("ServiceAccount", "", "ci")),
		binding("dev", "Role", "gone", subject("User", "", "ann")),
	))
	ann := person("ann", "system:authenticated")
	for _, tc := range []struct {
		u     user.Info
		ask   string
		allow bool
	}{
		{person("root", "admins"), "delete apps/deployments kube-system/x", true},
		{person("root", "admins"), "get /metrics", true},
		{ann, "list core/nodes", true},
		{ann, "delete core/nodes -/n1", false},
		{person("system:serviceaccount:ops:watcher"), "get core/nodes -/n1", true},
		{person("system:serviceaccount:dev:watcher"), "get core/nodes -/n1", false},
		{person("system:anonymous", "system:unauthenticated"), "get /healthz/etcd", true},
		{person("system:anonymous", "system:unauthenticated"), "get /healthzz", false},
		{person("system:anonymous", "system:unauthenticated"), "get /metrics", false},
		{person("hpa"), "update apps/deployments/scale dev/d", true},
		{person("hpa"), "update apps/deployments dev/d", false},
		{ann, "get core/pods dev/p", true},
		{ann, "get core/pods/log dev/p", true},
		{ann, "create core/pods/exec dev/p", false},
		{ann, "get core/pods prod/p", false},
		{ann, "list core/pods", false},
		{person("bob", "devs"), "list core/pods dev", true},
		{ann, "get core/secrets dev/mine", true},
		{ann, "get core/secrets dev/other", false},
		{ann, "list core/secrets dev", false},
		{person("system:serviceaccount:dev:ci"), "create apps/deployments dev", true},
		{person("system:serviceaccount:prod:ci"), "create apps/deployments dev", false},
		{person("nobody"), "get core/pods dev/p", false},
		{person("watcher"), "get core/nodes", false},
	} {
		decision, reason, err := z.Authorize(t.Context(), ask(tc.u, tc.ask))
		if err != nil {
			t.Errorf("%s %s: %v", tc.u.GetName(), tc.ask, err)
		}
		if got := decision == authorizer.DecisionAllow; got != tc.allow {
			t.Errorf("%s %s: allowed is %v (%s)", tc.u.GetName(), tc.ask, got, reason)
		}
	}
	_, reason, _ := z.Authorize(t.Context(), ask(ann, "list core/nodes"))
	if want := `RBAC: allowed by ClusterRoleBinding "bind-nodes-reader" of ClusterRole "nodes-reader" to User "ann"`; reason != want {
		t.Errorf("reason %q, want %q", reason, want)
	}
	_, reason, _ = z.Authorize(t.Context(), ask(ann, "delete core/pods dev/p"))
	if want := `RBAC: role.rbac.authorization.k8s.io "gone" not found`; reason != want {
		t.Errorf("reason of a broken binding %q, want %q", reason, want)
	}
}

func TestRulesFor(t *testing.T) {
	z := NewAuthorizer(resolverWith(t,
		clusterRole("r", rule("get", "", "nodes"), paths("/version")),
		role("dev", "d", rule("list", "", "pods")),
		// two subjects of one binding that both match give its rules once
		clusterBinding("r", subject("User", "", "ann"), subject("Group", "", "devs")),
		binding("dev", "Role", "d", subject("Group", "", "devs")),
	))
	ann := person("ann", "devs")
	resources, urls, incomplete, err := z.RulesFor(t.Context(), ann, "dev")
	if err != nil || incomplete || len(resources) != 2 || len(urls) != 1 {
		t.Fatalf("dev: %d resource rules, %d paths, incomplete %v, %v", len(resources), len(urls), incomplete, err)
	}
	if resources, _, _, _ := z.RulesFor(t.Context(), ann, "prod"); len(resources) != 1 {
		t.Fatalf("prod: %d resource rules", len(resources))
	}
}

func TestGuard(t *testing.T) {
	r := resolverWith(t,
		clusterRole("admin", rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}),
		clusterRole("reader", rule("get,list", "", "pods")),
		clusterRole("secrets", rule("get", "", "secrets")),
		clusterRole("binder", rule("bind", rbacv1.GroupName, "clusterroles", "secrets")),
		clusterRole("escalator", rule("escalate", rbacv1.GroupName, "roles")),
		clusterBinding("admin", subject("User", "", "root")),
		binding("dev", "ClusterRole", "reader", subject("User", "", "ann"), subject("User", "", "esc"), subject("User", "", "bin")),
		clusterBinding("binder", subject("User", "", "bin")),
		clusterBinding("escalator", subject("User", "", "esc")),
	)
	g := NewGuard(NewAuthorizer(r), r)
	aggregate := clusterRole("agg")
	aggregate.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}}
	held, more := role("dev", "x", rule("get", "", "pods")), role("dev", "x", rule("get,delete", "", "pods"))
	finalized := binding("dev", "ClusterRole", "secrets", subject("User", "", "eve"))
	finalized.Finalizers = []string{"x"}
	for _, tc := range []struct {
		name     string
		who      user.Info
		obj, old runtime.Object
		want     string
	}{
		{"role of held rules", person("ann"), held, nil, ""},
		{"role of more", person("ann"), more, nil, `roles.rbac.authorization.k8s.io "x" is forbidden: user "ann" (groups=[]) is attempting to grant RBAC permissions not currently held:` + "\n" + `{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}`},
		{"held rules in another namespace", person("ann"), role("prod", "x", rule("get", "", "pods")), nil, "not currently held"},
		{"update without change of rules", person("ann"), more, more, ""},
		{"update to more", person("ann"), more, held, "not currently held"},
		{"holder of escalate", person("esc"), more, nil, ""},
		{"system:masters", person("x", user.SystemPrivilegedGroup), more, nil, ""},
		{"binding of held rules", person("ann"), binding("dev", "ClusterRole", "reader", subject("User", "", "bob")), nil, ""},
		{"binding of more", person("ann"), binding("dev", "ClusterRole", "secrets", subject("User", "", "bob")), nil, `rolebindings.rbac.authorization.k8s.io "bind-secrets" is forbidden`},
		{"holder of bind", person("bin"), binding("dev", "ClusterRole", "secrets", subject("User", "", "bob")), nil, ""},
		{"holder of bind, another role", person("bin"), clusterBinding("admin", subject("User", "", "bin")), nil, `clusterrolebindings.rbac.authorization.k8s.io "bind-admin" is forbidden`},
		{"binding of a missing role", person("ann"), binding("dev", "ClusterRole", "nosuch"), nil, `"nosuch" not found`},
		{"finalizer taken off", person("ann"), binding("dev", "ClusterRole", "secrets", subject("User", "", "eve")), finalized, ""},
		{"subject changed", person("ann"), binding("dev", "ClusterRole", "secrets", subject("User", "", "ann")), finalized, "is forbidden"},
		{"aggregation", person("ann"), aggregate, nil, "must have cluster-admin privileges to use an aggregationRule"},
		{"aggregation by who holds everything", person("root"), aggregate, nil, ""},
		{"other kinds", person("ann"), &rbacv1.RoleList{}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := g.Check(genericapirequest.WithUser(t.Context(), tc.who), tc.obj, tc.old)
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func BenchmarkAuthorize(b *testing.B) {
	objects := []runtime.Object{clusterRole("r", rule("get", "", "pods"))}
	api := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Rbac().V1()
	r, err := NewResolver(api)
	if err != nil {
		b.Fatal(err)
	}
	if err := api.ClusterRoles().Informer().GetIndexer().Add(objects[0]); err != nil {
		b.Fatal(err)
	}
	for i := range 5000 {
		bind := clusterBinding("r", subject("User", "", "user-"+string(rune(i))))
		bind.Name, bind.UID = "b"+string(rune(i)), types.UID(string(rune(i)))
		if err := api.ClusterRoleBindings().Informer().GetIndexer().Add(bind); err != nil {
			b.Fatal(err)
		}
	}
	z, question := NewAuthorizer(r), ask(person("user-x", "system:authenticated"), "get core/pods dev/p")
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = z.Authorize(b.Context(), question)
	}
}
