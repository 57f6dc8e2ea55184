package policy

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"pilotis.dev/cmd/kube-apiserver/auth/node"
)

// Policy is a set of Roles and bindings.
type Policy struct {
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
}

// Default returns what every cluster has.
func Default() *Policy {
	p := &Policy{}
	p.basics()
	p.users()
	p.components()
	p.certificates()
	p.namespaced()
	for _, c := range slices.Concat(controllers(), cloudControllers()) {
		name, account := "system:controller:"+c.account, serviceAccount("kube-system", c.account)
		if c.namespace == "" {
			p.bound(clusterRole(name, c.rules...), account)
			continue
		}
		p.Roles = append(p.Roles, role(c.namespace, name, c.rules...))
		p.RoleBindings = append(p.RoleBindings, binding(c.namespace, name, name, account))
	}
	return p
}

// bound adds a ClusterRole and binds it.
func (p *Policy) bound(role rbacv1.ClusterRole, subjects ...rbacv1.Subject) {
	p.ClusterRoles = append(p.ClusterRoles, role)
	p.ClusterRoleBindings = append(p.ClusterRoleBindings, clusterBinding(role.Name, subjects...))
}

// unbound adds a ClusterRole that others bind.
func (p *Policy) unbound(roles ...rbacv1.ClusterRole) {
	p.ClusterRoles = append(p.ClusterRoles, roles...)
}

// basics are what everybody may do, and who may do everything.
func (p *Policy) basics() {
	p.bound(clusterRole("cluster-admin", allow("*", all, "*"), paths("*", "*")), group("system:masters"))
	p.bound(clusterRole("system:basic-user",
		allow("create", authzGroup, "selfsubjectaccessreviews,selfsubjectrulesreviews"),
		allow("create", authnGroup, "selfsubjectreviews"),
	), group("system:authenticated"))
	p.bound(clusterRole("system:discovery", paths("get",
		"/livez", "/readyz", "/healthz", "/version", "/version/", "/openapi", "/openapi/*", "/api", "/api/*", "/apis", "/apis/*",
	)), group("system:authenticated"))
	p.bound(clusterRole("system:public-info-viewer", paths("get", "/livez", "/readyz", "/healthz", "/version", "/version/")),
		group("system:authenticated"), group("system:unauthenticated"))
	p.bound(clusterRole("system:monitoring", paths("get",
		"/metrics", "/metrics/slis", "/livez", "/readyz", "/healthz", "/livez/*", "/readyz/*", "/healthz/*",
	)), group("system:monitoring"))
	p.bound(clusterRole("system:service-account-issuer-discovery", paths("get",
		"/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/",
	)), group("system:serviceaccounts"))
	p.bound(clusterRole("system:cluster-trust-bundle-discovery", allow(read, certsGroup, "clustertrustbundles")), group("system:serviceaccounts"))
}

// components are the roles of the parts of a cluster.
func (p *Policy) components() {
	p.bound(clusterRole("system:kube-controller-manager", controllerManager()...), user("system:kube-controller-manager"))
	p.bound(clusterRole("system:kube-scheduler", scheduler()...), user("system:kube-scheduler"))
	p.bound(clusterRole("system:volume-scheduler",
		allow("get,list,patch,update,watch", core, "persistentvolumes,persistentvolumeclaims"),
		allow(read, storageGroup, "storageclasses"),
	), user("system:kube-scheduler"))
	p.bound(clusterRole("system:node-proxier",
		allow("list,watch", core, "services,endpoints"),
		allow(read, core, "nodes"),
		allow("list,watch", discoveryGroup, "endpointslices"),
		allow("list,watch", networking, "servicecidrs"),
		events(),
	), user("system:kube-proxy"))
	p.bound(clusterRole("system:kube-dns", allow("list,watch", core, "endpoints,services")), serviceAccount("kube-system", "kube-dns"))
	// Bound to nobody: the Node authorizer confines kubelets, this role would not.
	p.bound(clusterRole("system:node", node.Rules()...))
	p.unbound(
		clusterRole("system:auth-delegator",
			allow("create", authnGroup, "tokenreviews"),
			allow("create", authzGroup, "subjectaccessreviews"),
		),
		clusterRole("system:kubelet-api-admin",
			allow(read, core, "nodes"),
			allow("proxy", core, "nodes"),
			allow("*", core, "nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,nodes/spec,nodes/stats"),
		),
		clusterRole("system:node-bootstrapper", allow("create,get,list,watch", certsGroup, "certificatesigningrequests")),
		clusterRole("system:node-problem-detector",
			allow("get", core, "nodes"),
			allow("patch", core, "nodes/status"),
			events(),
		),
		clusterRole("system:kube-aggregator", allow(read, core, "services,endpoints")),
		clusterRole("system:persistent-volume-provisioner",
			allow("get,list,watch,create,delete", core, "persistentvolumes"),
			allow("get,list,watch,update", core, "persistentvolumeclaims"), // update sets the lock annotation
			allow(read, storageGroup, "storageclasses"),
			allow("watch", core, "events"),
			events(),
		),
	)
}

// certificates are the roles of those who ask for certificates and of those who approve them.
func (p *Policy) certificates() {
	const signing = "system:certificates.k8s.io:"
	p.unbound(
		clusterRole(signing+"certificatesigningrequests:nodeclient", allow("create", certsGroup, "certificatesigningrequests/nodeclient")),
		clusterRole(signing+"certificatesigningrequests:selfnodeclient", allow("create", certsGroup, "certificatesigningrequests/selfnodeclient")),
	)
	for _, signer := range []string{"kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown"} {
		p.unbound(clusterRole(signing+signer+"-approver", allow("approve", certsGroup, "signers", "kubernetes.io/"+signer)))
	}
}

func controllerManager() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		events(),
		allow("create", coordination, "leases"),
		allow("get,update", coordination, "leases", "kube-controller-manager"),
		allow(readWrite, coordination, "leasecandidates"),
		// it makes the service accounts as which its controllers work
		allow("create", core, "secrets,serviceaccounts"),
		allow("delete", core, "secrets"),
		allow("get", core, "namespaces,secrets,serviceaccounts,configmaps"),
		allow("update", core, "secrets,serviceaccounts"),
		allow("create", core, "serviceaccounts/token"),
		// its own server delegates authentication and authorization
		allow("create", authnGroup, "tokenreviews"),
		allow("create", authzGroup, "subjectaccessreviews"),
		// the shared informers
		allow("list,watch", all, "*"),
	}
}

func scheduler() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		events(),
		allow("create", coordination, "leases"),
		allow("get,update", coordination, "leases", "kube-scheduler"),
		allow(readWrite, coordination, "leasecandidates"),
		allow(read, core, "nodes,namespaces,services,replicationcontrollers,persistentvolumes,persistentvolumeclaims"),
		allow("delete,get,list,watch", core, "pods"),
		allow("create", core, "bindings,pods/binding"),
		allow("patch,update", core, "pods/status"),
		allow(read, appsGroup+","+extensions, "replicasets"),
		allow(read, appsGroup, "statefulsets"),
		allow(read, policyGroup, "poddisruptionbudgets"),
		allow(read, storageGroup, "csinodes,csidrivers,csistoragecapacities,volumeattachments"),
		allow(read, resourceGroup, "deviceclasses,resourceclaims,resourceslices,devicetaintrules"),
		allow("create,delete,patch,update", resourceGroup, "resourceclaims"),
		allow("patch,update", resourceGroup, "resourceclaims/status"),
		allow(read, scheduling, "priorityclasses"),
		allow("create", authnGroup, "tokenreviews"),
		allow("create", authzGroup, "subjectaccessreviews"),
	}
}
