package policy

import (
	rbacv1 "k8s.io/api/rbac/v1"
)

// controller is what one loop of kube-controller-manager may do, under the service account of its name.
type controller struct {
	name  string
	rules []rbacv1.PolicyRule
}

// controllers are all loops, by name. Each may do what its work needs, no more: with
// --use-service-account-credentials a flaw of one does not give the rights of all.
func controllers() []controller {
	return append(append(append(workloads(), storage()...), network()...), cluster()...)
}

// workloads keep pods running.
func workloads() []controller {
	const apps = appsGroup + "," + extensions
	const change = "create,delete,get,list,patch,update,watch"
	return []controller{
		{"cronjob-controller", []rbacv1.PolicyRule{
			allow("get,list,update,watch", batchGroup, "cronjobs"),
			allow(change, batchGroup, "jobs"),
			allow("update", batchGroup, "cronjobs/status,cronjobs/finalizers"),
			allow("delete,list", core, "pods"),
			events(),
		}},
		{"daemon-set-controller", []rbacv1.PolicyRule{
			allow(read, apps, "daemonsets"),
			allow("update", apps, "daemonsets/status,daemonsets/finalizers"),
			allow("list,watch", core, "nodes"),
			allow("create,delete,list,patch,watch", core, "pods"),
			allow("create", core, "pods/binding"),
			allow(change, appsGroup, "controllerrevisions"),
			events(),
		}},
		{"deployment-controller", []rbacv1.PolicyRule{
			allow("get,list,update,watch", apps, "deployments"),
			allow("update", apps, "deployments/status,deployments/finalizers"),
			allow(change, apps, "replicasets"),
			allow("get,list,update,watch", core, "pods"),
			events(),
		}},
		{"disruption-controller", []rbacv1.PolicyRule{
			allow(read, apps, "deployments,replicasets"),
			allow(read, core, "replicationcontrollers"),
			allow(read, policyGroup, "poddisruptionbudgets"),
			allow(read, appsGroup, "statefulsets"),
			allow("update", policyGroup, "poddisruptionbudgets/status"),
			allow("get,list,watch", core, "pods"),
			allow("patch,update", core, "pods/status"),
			allow("get", all, "*/scale"),
			events(),
		}},
		{"horizontal-pod-autoscaler", []rbacv1.PolicyRule{
			allow(read, scalingGroup, "horizontalpodautoscalers"),
			allow("update", scalingGroup, "horizontalpodautoscalers/status"),
			allow("get,update", all, "*/scale"),
			allow("list", core, "pods"),
			allow("list", "metrics.k8s.io", "pods"),
			allow("get,list", "custom.metrics.k8s.io,external.metrics.k8s.io", "*"),
			events(),
		}},
		{"job-controller", []rbacv1.PolicyRule{
			allow("get,list,patch,update,watch", batchGroup, "jobs"),
			allow("update", batchGroup, "jobs/status,jobs/finalizers"),
			allow("create,delete,list,patch,watch", core, "pods"),
			events(),
		}},
		{"replicaset-controller", []rbacv1.PolicyRule{
			allow("get,list,update,watch", apps, "replicasets"),
			allow("update", apps, "replicasets/status,replicasets/finalizers"),
			allow("create,delete,list,patch,watch", core, "pods"),
			events(),
		}},
		{"replication-controller", []rbacv1.PolicyRule{
			// the scale of a ReplicationController can be read and written as that of other kinds
			allow("get,update", core, "replicationcontrollers/scale"),
			allow("get,list,update,watch", core, "replicationcontrollers"),
			allow("update", core, "replicationcontrollers/status,replicationcontrollers/finalizers"),
			allow("create,delete,list,patch,watch", core, "pods"),
			events(),
		}},
		{"statefulset-controller", []rbacv1.PolicyRule{
			allow("list,watch", core, "pods"),
			allow(read, appsGroup, "statefulsets"),
			allow("update", appsGroup, "statefulsets/status,statefulsets/finalizers"),
			allow("get,create,delete,update,patch", core, "pods"),
			allow("update", core, "pods/finalizers"),
			allow("get,create,delete,update,patch,list,watch", appsGroup, "controllerrevisions"),
			allow("get,create", core, "persistentvolumeclaims"),
			allow("list,watch,update,delete", core, "persistentvolumeclaims"),
			events(),
		}},
		{"ttl-after-finished-controller", []rbacv1.PolicyRule{
			allow("get,list,watch,delete", batchGroup, "jobs"),
			events(),
		}},
	}
}

// storage binds, attaches and protects volumes.
func storage() []controller {
	return []controller{
		{"attachdetach-controller", []rbacv1.PolicyRule{
			allow("list,watch", core, "persistentvolumes,persistentvolumeclaims,pods"),
			allow(read, core, "nodes"),
			allow("patch,update", core, "nodes/status"),
			allow("get,create,delete,list,watch", storageGroup, "volumeattachments"),
			allow(read, storageGroup, "csidrivers,csinodes"),
			events(),
		}},
		{"ephemeral-volume-controller", []rbacv1.PolicyRule{
			allow(read, core, "pods"),
			allow("update", core, "pods/finalizers"),
			allow("create,get,list,watch", core, "persistentvolumeclaims"),
			events(),
		}},
		{"expand-controller", []rbacv1.PolicyRule{
			allow("get,list,patch,update,watch", core, "persistentvolumes"),
			allow(read, core, "persistentvolumeclaims"),
			allow("patch,update", core, "persistentvolumeclaims/status"),
			allow(read, storageGroup, "storageclasses"),
			events(),
		}},
		{"persistent-volume-binder", []rbacv1.PolicyRule{
			allow("create,delete,get,list,update,watch", core, "persistentvolumes"),
			allow("update", core, "persistentvolumes/status,persistentvolumeclaims/status"),
			allow("get,list,update,watch", core, "persistentvolumeclaims"),
			allow("create,delete,get,list,watch", core, "pods"), // recyclers
			allow(read, core, "nodes"),
			allow(read, storageGroup, "storageclasses"),
			allow("watch", core, "events"),
			events(),
		}},
		{"pv-protection-controller", []rbacv1.PolicyRule{
			allow("get,list,update,watch", core, "persistentvolumes"),
			events(),
		}},
		{"pvc-protection-controller", []rbacv1.PolicyRule{
			allow("get,list,update,watch", core, "persistentvolumeclaims"),
			allow(read, core, "pods"),
			events(),
		}},
		{"resource-claim-controller", []rbacv1.PolicyRule{
			allow(read, core, "pods"),
			allow("update", core, "pods/finalizers"),
			allow("patch,update", core, "pods/status"),
			allow("create,delete,get,list,watch", resourceGroup, "resourceclaims"),
			allow(read, resourceGroup, "resourceclaimtemplates"),
			allow("patch,update", resourceGroup, "resourceclaims,resourceclaims/status"), // the finalizer of an allocation goes with it
			events(),
		}},
		{"device-taint-eviction-controller", []rbacv1.PolicyRule{
			allow("delete,get,list,watch", core, "pods"),
			allow("patch", core, "pods/status"),
			allow(read, resourceGroup, "resourceclaims,resourceslices,deviceclasses,devicetaintrules"),
			allow("patch,update", resourceGroup, "devicetaintrules/status"),
			events(),
		}},
		{"selinux-warning-controller", []rbacv1.PolicyRule{
			allow("list,watch", core, "persistentvolumes,persistentvolumeclaims,pods"),
			allow("list,watch", storageGroup, "csidrivers"),
			events(),
		}},
		{"volumeattributesclass-protection-controller", []rbacv1.PolicyRule{
			allow("list,watch", core, "persistentvolumeclaims,persistentvolumes"),
			allow("get,list,watch,update", storageGroup, "volumeattributesclasses"),
			events(),
		}},
	}
}

// network keeps Services and addresses.
func network() []controller {
	const slices = "create,delete,get,list,update"
	return []controller{
		{"endpoint-controller", []rbacv1.PolicyRule{
			allow(read, core, "services,pods"),
			allow("create,delete,get,list,update", core, "endpoints"),
			allow("create", core, "endpoints/restricted"),
			events(),
		}},
		{"endpointslice-controller", []rbacv1.PolicyRule{
			allow(read, core, "services,nodes,pods"),
			allow("update", core, "services/finalizers"), // slices block the deletion of their Service
			allow(slices, discoveryGroup, "endpointslices"),
			allow("create", discoveryGroup, "endpointslices/restricted"),
			events(),
		}},
		{"endpointslicemirroring-controller", []rbacv1.PolicyRule{
			allow(read, core, "services,endpoints"),
			allow("update", core, "services/finalizers,endpoints/finalizers"),
			allow(slices, discoveryGroup, "endpointslices"),
			allow("create", discoveryGroup, "endpointslices/restricted"),
			events(),
		}},
		{"route-controller", []rbacv1.PolicyRule{
			allow("list,watch", core, "nodes"),
			allow("patch", core, "nodes/status"),
			events(),
		}},
		{"service-cidrs-controller", []rbacv1.PolicyRule{
			allow("get,list,watch,patch,update", networking, "servicecidrs"),
			allow("patch,update", networking, "servicecidrs/finalizers,servicecidrs/status"),
			allow(read, networking, "ipaddresses"),
			events(),
		}},
		{"service-controller", []rbacv1.PolicyRule{
			allow(read, core, "services"),
			allow("patch,update", core, "services/status"),
			allow("list,watch", core, "nodes"),
			events(),
		}},
	}
}

// cluster keeps nodes, namespaces, accounts and certificates.
func cluster() []controller {
	return []controller{
		{"certificate-controller", []rbacv1.PolicyRule{
			allow("delete,get,list,watch", certsGroup, "certificatesigningrequests"),
			allow("update", certsGroup, "certificatesigningrequests/status,certificatesigningrequests/approval"),
			allow("approve", certsGroup, "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
			allow("sign", certsGroup, "signers",
				"kubernetes.io/legacy-unknown", "kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kube-apiserver-client"),
			allow("create", authzGroup, "subjectaccessreviews"),
			events(),
		}},
		{"clusterrole-aggregation-controller", []rbacv1.PolicyRule{
			// it gives roles rules that it does not hold itself
			allow("escalate,get,list,patch,update,watch", rbacGroup, "clusterroles"),
		}},
		{"generic-garbage-collector", []rbacv1.PolicyRule{
			allow("delete,get,list,patch,update,watch", all, "*"),
			events(),
		}},
		{"kube-apiserver-serving-clustertrustbundle-publisher", []rbacv1.PolicyRule{
			allow("attest", certsGroup, "signers", "kubernetes.io/kube-apiserver-serving"),
			allow("create,update,delete,list,watch", certsGroup, "clustertrustbundles"),
			events(),
		}},
		{"legacy-service-account-token-cleaner", []rbacv1.PolicyRule{
			allow("get", core, "configmaps", "kube-apiserver-legacy-service-account-token-tracking"),
			allow("delete,patch", core, "secrets"),
		}},
		{"namespace-controller", []rbacv1.PolicyRule{
			allow("delete,get,list,watch", core, "namespaces"),
			allow("update", core, "namespaces/finalize,namespaces/status"),
			allow("delete,deletecollection,get,list", all, "*"),
		}},
		{"node-controller", []rbacv1.PolicyRule{
			allow("delete,get,list,patch,update", core, "nodes"),
			allow("patch,update", core, "nodes/status"),
			allow("delete,get,list", core, "pods"),
			allow("patch,update", core, "pods/status"),
			events(),
		}},
		{"pod-garbage-collector", []rbacv1.PolicyRule{
			allow("delete,list,watch", core, "pods"),
			allow("get,list", core, "nodes"),
			allow("patch", core, "pods/status"),
		}},
		{"podcertificaterequest-cleaner", []rbacv1.PolicyRule{
			allow("delete,get,list,watch", certsGroup, "podcertificaterequests"),
		}},
		{"resourcequota-controller", []rbacv1.PolicyRule{
			allow("list,watch", all, "*"), // it counts whatever kinds there are
			allow("update", core, "resourcequotas/status"),
			events(),
		}},
		{"root-ca-cert-publisher", []rbacv1.PolicyRule{
			allow("create,update", core, "configmaps"),
			events(),
		}},
		{"service-account-controller", []rbacv1.PolicyRule{
			allow("create", core, "serviceaccounts"),
			events(),
		}},
		{"storage-version-garbage-collector", []rbacv1.PolicyRule{
			allow("get,list,watch", coordination, "leases"),
			allow("delete,get,list,watch", "internal.apiserver.k8s.io", "storageversions"),
			allow("patch,update", "internal.apiserver.k8s.io", "storageversions/status"),
		}},
		{"storage-version-migrator-controller", []rbacv1.PolicyRule{
			allow("list,patch", all, "*"),
			allow("get,list,watch", "storagemigration.k8s.io", "storageversionmigrations"),
			allow("patch,update", "storagemigration.k8s.io", "storageversionmigrations/status"),
			allow("get,list,watch", "apiextensions.k8s.io", "customresourcedefinitions"),
			allow("patch,update", "apiextensions.k8s.io", "customresourcedefinitions/status"),
			events(),
		}},
		{"taint-eviction-controller", []rbacv1.PolicyRule{
			allow("get,list", core, "nodes"),
			allow("delete,get,list,watch", core, "pods"),
			allow("patch,update", core, "pods/status"),
			events(),
		}},
		{"ttl-controller", []rbacv1.PolicyRule{
			allow("list,patch,update,watch", core, "nodes"),
			events(),
		}},
		{"validatingadmissionpolicy-status-controller", []rbacv1.PolicyRule{
			allow(read, admissionGroup, "validatingadmissionpolicies"),
			allow("get,patch,update", admissionGroup, "validatingadmissionpolicies/status"),
			allow(read, "apiextensions.k8s.io", "customresourcedefinitions"),
			events(),
		}},
	}
}
