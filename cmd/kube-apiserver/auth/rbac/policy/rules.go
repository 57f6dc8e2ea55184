package policy

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Verbs that occur together.
const (
	read      = "get,list,watch"
	write     = "create,update,patch,delete,deletecollection"
	readWrite = read + "," + write
)

// API groups.
const (
	core           = ""
	admissionGroup = "admissionregistration.k8s.io"
	appsGroup      = "apps"
	authnGroup     = "authentication.k8s.io"
	authzGroup     = "authorization.k8s.io"
	scalingGroup   = "autoscaling"
	batchGroup     = "batch"
	certsGroup     = "certificates.k8s.io"
	coordination   = "coordination.k8s.io"
	discoveryGroup = "discovery.k8s.io"
	eventsGroup    = "events.k8s.io"
	extensions     = "extensions"
	networking     = "networking.k8s.io"
	policyGroup    = "policy"
	rbacGroup      = rbacv1.GroupName
	resourceGroup  = "resource.k8s.io"
	scheduling     = "scheduling.k8s.io"
	storageGroup   = "storage.k8s.io"
	all            = "*"
)

// allow is a rule; verbs, groups and resources are lists with commas, names restrict it to objects of these names.
func allow(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: list(verbs), APIGroups: list(groups), Resources: list(resources), ResourceNames: names}
}

// paths is a rule of requests outside the API's resources.
func paths(verbs string, urls ...string) rbacv1.PolicyRule {
	slices.Sort(urls)
	return rbacv1.PolicyRule{Verbs: list(verbs), NonResourceURLs: urls}
}

// events lets a component say what it did.
func events() rbacv1.PolicyRule {
	return allow("create,patch,update", core+","+eventsGroup, "events")
}

func list(s string) []string {
	out := strings.Split(s, ",")
	slices.Sort(out)
	return slices.Compact(out)
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: meta("", name), Rules: rules}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) rbacv1.Role {
	return rbacv1.Role{ObjectMeta: meta(namespace, name), Rules: rules}
}

// clusterBinding binds the ClusterRole of its own name.
func clusterBinding(name string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{ObjectMeta: meta("", name), RoleRef: rbacv1.RoleRef{APIGroup: rbacGroup, Kind: "ClusterRole", Name: name}, Subjects: subjects}
}

func binding(namespace, name, role string, subjects ...rbacv1.Subject) rbacv1.RoleBinding {
	return rbacv1.RoleBinding{ObjectMeta: meta(namespace, name), RoleRef: rbacv1.RoleRef{APIGroup: rbacGroup, Kind: "Role", Name: role}, Subjects: subjects}
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacGroup, Name: name}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacGroup, Name: name}
}

func serviceAccount(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}
