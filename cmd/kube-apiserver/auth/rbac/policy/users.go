package policy

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// users are the roles given to people, commonly in one namespace. admin, edit and view have no rules of their own:
// they collect those of all ClusterRoles with the label rbac.authorization.k8s.io/aggregate-to-<name>, so that an
// operator's chart can add its kinds to them.
func (p *Policy) users() {
	p.unbound(
		aggregated("admin", "admin"),
		labelled(aggregated("edit", "edit"), "admin"),
		labelled(aggregated("view", "view"), "edit"),
		labelled(clusterRole("system:aggregate-to-admin", adminRules()...), "admin"),
		labelled(clusterRole("system:aggregate-to-edit", editRules()...), "edit"),
		labelled(clusterRole("system:aggregate-to-view", viewRules()...), "view"),
	)
}

func aggregateLabel(to string) string { return "rbac.authorization.k8s.io/aggregate-to-" + to }

func aggregated(name, from string) rbacv1.ClusterRole {
	r := clusterRole(name)
	r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
		{MatchLabels: map[string]string{aggregateLabel(from): "true"}},
	}}
	return r
}

func labelled(r rbacv1.ClusterRole, to string) rbacv1.ClusterRole {
	r.Labels[aggregateLabel(to)] = "true"
	return r
}

// adminRules: what an administrator of a namespace may do besides editing: to give its rights to others.
func adminRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		allow("create", authzGroup, "localsubjectaccessreviews"),
		allow(readWrite, rbacGroup, "roles,rolebindings"),
	}
}

// editRules: to change what runs in a namespace, and to act as its service accounts. Writing Endpoints and
// EndpointSlices is not among them: who writes those directs the traffic of others (CVE-2021-25740).
func editRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		allow(read, core, "pods/attach,pods/proxy,pods/exec,pods/portforward,secrets,services/proxy"),
		allow("impersonate", core, "serviceaccounts"),
		allow(write, core, "pods,pods/attach,pods/proxy,pods/exec,pods/portforward"),
		allow("create", core, "pods/eviction"),
		allow(write, core, "replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/proxy,persistentvolumeclaims,configmaps,secrets,events"),
		allow("create", core, "serviceaccounts/token"),
		allow(write, appsGroup, "statefulsets,statefulsets/scale,daemonsets,deployments,deployments/scale,deployments/rollback,replicasets,replicasets/scale"),
		allow(write, scalingGroup, "horizontalpodautoscalers"),
		allow(write, batchGroup, "jobs,cronjobs"),
		allow(write, extensions, "daemonsets,deployments,deployments/scale,deployments/rollback,ingresses,replicasets,replicasets/scale,replicationcontrollers/scale,networkpolicies"),
		allow(write, policyGroup, "poddisruptionbudgets"),
		allow(write, networking, "networkpolicies,ingresses"),
		allow(readWrite, coordination, "leases"),
		allow(write, resourceGroup, "resourceclaims,resourceclaimtemplates"),
	}
}

// viewRules: to see what runs in a namespace. Secrets are not among them, because the token of a service account is
// its rights, and neither are Roles.
func viewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		allow(read, core, "pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,configmaps"),
		allow(read, core, "limitranges,resourcequotas,bindings,events,pods/status,resourcequotas/status,namespaces/status,replicationcontrollers/status,pods/log"),
		allow(read, core, "namespaces"),
		allow(read, discoveryGroup, "endpointslices"),
		allow(read, appsGroup, "controllerrevisions,statefulsets,statefulsets/status,statefulsets/scale,daemonsets,daemonsets/status,deployments,deployments/status,deployments/scale,replicasets,replicasets/status,replicasets/scale"),
		allow(read, scalingGroup, "horizontalpodautoscalers,horizontalpodautoscalers/status"),
		allow(read, batchGroup, "jobs,cronjobs,cronjobs/status,jobs/status"),
		allow(read, extensions, "daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale,networkpolicies"),
		allow(read, policyGroup, "poddisruptionbudgets,poddisruptionbudgets/status"),
		allow(read, networking, "networkpolicies,ingresses,ingresses/status"),
		allow(read, resourceGroup, "resourceclaims,resourceclaims/status,resourceclaimtemplates"),
	}
}
