package policy

// namespaced are the Roles of the namespaces of the cluster itself.
func (p *Policy) namespaced() {
	const system, public = "kube-system", "kube-public"
	const authReader = "extension-apiserver-authentication-reader"
	p.Roles = append(p.Roles,
		// the client authorities that aggregated API servers trust
		role(system, authReader, allow(read, core, "configmaps", "extension-apiserver-authentication")),
		role(system, "system:controller:bootstrap-signer", allow(read, core, "secrets")),
		role(system, "system:controller:cloud-provider", allow("create,get,list,watch", core, "configmaps")),
		role(system, "system:controller:token-cleaner", allow("get,list,watch,delete", core, "secrets"), events()),
		role(public, "system:controller:bootstrap-signer",
			allow(read, core, "configmaps"),
			allow("update", core, "configmaps", "cluster-info"),
			events(),
		),
	)
	p.RoleBindings = append(p.RoleBindings,
		binding(system, "system::"+authReader, authReader, user("system:kube-controller-manager"), user("system:kube-scheduler")),
	)
	for _, c := range []struct{ namespace, account string }{
		{system, "bootstrap-signer"}, {system, "cloud-provider"}, {system, "token-cleaner"}, {public, "bootstrap-signer"},
	} {
		name := "system:controller:" + c.account
		p.RoleBindings = append(p.RoleBindings, binding(c.namespace, name, name, serviceAccount(system, c.account)))
	}
	for _, leader := range []string{"kube-controller-manager", "kube-scheduler"} {
		name := "system::leader-locking-" + leader
		p.Roles = append(p.Roles, role(system, name,
			allow("watch", core, "configmaps"),
			allow("get,update", core, "configmaps", leader),
		))
		p.RoleBindings = append(p.RoleBindings, binding(system, name, name, user("system:"+leader), serviceAccount(system, leader)))
	}
}
