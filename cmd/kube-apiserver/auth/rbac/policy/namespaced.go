package policy

// namespaced are the Roles of the namespaces of the cluster itself.
func (p *Policy) namespaced() {
	const system = "kube-system"
	const cloudProvider = "system:controller:cloud-provider"
	const authReader = "extension-apiserver-authentication-reader"
	p.Roles = append(p.Roles,
		// the client authorities that aggregated API servers trust
		role(system, authReader, allow(read, core, "configmaps", "extension-apiserver-authentication")),
		role(system, cloudProvider, allow("create,get,list,watch", core, "configmaps")),
	)
	p.RoleBindings = append(p.RoleBindings,
		binding(system, "system::"+authReader, authReader, user("system:kube-controller-manager"), user("system:kube-scheduler")),
		binding(system, cloudProvider, cloudProvider, serviceAccount(system, "cloud-provider")),
	)
	for _, leader := range []string{"kube-controller-manager", "kube-scheduler"} {
		name := "system::leader-locking-" + leader
		p.Roles = append(p.Roles, role(system, name,
			allow("watch", core, "configmaps"),
			allow("get,update", core, "configmaps", leader),
		))
		p.RoleBindings = append(p.RoleBindings, binding(system, name, name, user("system:"+leader), serviceAccount(system, leader)))
	}
}
