package policy

import rbacv1 "k8s.io/api/rbac/v1"

// cloudControllers are the loops of the cloud-controller-manager that upstream has roles for.
func cloudControllers() []controller {
	return []controller{
		{"route-controller", "", []rbacv1.PolicyRule{
			allow("list,watch", core, "nodes"),
			allow("patch", core, "nodes/status"),
			events(),
		}},
		{"service-controller", "", []rbacv1.PolicyRule{
			allow(read, core, "services"),
			allow("patch,update", core, "services/status"),
			allow("list,watch", core, "nodes"),
			events(),
		}},
	}
}
