// Package resources is the API surface of kube-apiserver: one table of all kinds it serves.
package resources

import (
	"pilotis.dev/cmd/kube-apiserver/resources/admissionregistration"
	"pilotis.dev/cmd/kube-apiserver/resources/apiserverinternal"
	"pilotis.dev/cmd/kube-apiserver/resources/apps"
	"pilotis.dev/cmd/kube-apiserver/resources/autoscaling"
	"pilotis.dev/cmd/kube-apiserver/resources/batch"
	"pilotis.dev/cmd/kube-apiserver/resources/certificates"
	"pilotis.dev/cmd/kube-apiserver/resources/coordination"
	"pilotis.dev/cmd/kube-apiserver/resources/core"
	"pilotis.dev/cmd/kube-apiserver/resources/discovery"
	"pilotis.dev/cmd/kube-apiserver/resources/flowcontrol"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
	"pilotis.dev/cmd/kube-apiserver/resources/lifecycle"
	"pilotis.dev/cmd/kube-apiserver/resources/networking"
	"pilotis.dev/cmd/kube-apiserver/resources/node"
	"pilotis.dev/cmd/kube-apiserver/resources/policy"
	"pilotis.dev/cmd/kube-apiserver/resources/rbac"
	"pilotis.dev/cmd/kube-apiserver/resources/resource"
	"pilotis.dev/cmd/kube-apiserver/resources/scheduling"
	"pilotis.dev/cmd/kube-apiserver/resources/storage"
	"pilotis.dev/cmd/kube-apiserver/resources/storagemigration"
)

// Table lists every stored resource, group by group in the order of discovery. CustomResourceDefinitions and
// APIServices are served by their own servers behind and before this one.
func Table() []kind.Declaration {
	return []kind.Declaration{
		core.ConfigMaps(),
		core.Endpoints(),
		core.Events(), // events.k8s.io serves the same objects
		core.LimitRanges(),
		core.Namespaces(),
		core.Nodes(),
		core.PersistentVolumeClaims(),
		core.PersistentVolumes(),
		core.Pods(),
		core.PodTemplates(),
		core.ReplicationControllers(),
		core.ResourceQuotas(),
		core.Secrets(),
		core.ServiceAccounts(),
		core.Services(),

		apps.ControllerRevisions(),
		apps.DaemonSets(),
		apps.Deployments(),
		apps.ReplicaSets(),
		apps.StatefulSets(),

		autoscaling.HorizontalPodAutoscalers(),

		batch.CronJobs(),
		batch.Jobs(),

		certificates.CertificateSigningRequests(),
		certificates.ClusterTrustBundles(),
		certificates.PodCertificateRequests(),

		coordination.LeaseCandidates(),
		coordination.Leases(),

		discovery.EndpointSlices(),

		networking.Ingresses(),
		networking.IngressClasses(),
		networking.IPAddresses(),
		networking.NetworkPolicies(),
		networking.ServiceCIDRs(),

		node.RuntimeClasses(),

		policy.PodDisruptionBudgets(),

		rbac.ClusterRoleBindings(),
		rbac.ClusterRoles(),
		rbac.RoleBindings(),
		rbac.Roles(),

		scheduling.CompositePodGroups(),
		scheduling.PodGroups(),
		scheduling.PriorityClasses(),
		scheduling.Workloads(),

		storage.CSIDrivers(),
		storage.CSINodes(),
		storage.CSIStorageCapacities(),
		storage.StorageClasses(),
		storage.VolumeAttachments(),
		storage.VolumeAttributesClasses(),

		flowcontrol.FlowSchemas(),
		flowcontrol.PriorityLevelConfigurations(),

		admissionregistration.MutatingAdmissionPolicies(),
		admissionregistration.MutatingAdmissionPolicyBindings(),
		admissionregistration.MutatingWebhookConfigurations(),
		admissionregistration.ValidatingAdmissionPolicies(),
		admissionregistration.ValidatingAdmissionPolicyBindings(),
		admissionregistration.ValidatingWebhookConfigurations(),

		resource.DeviceClasses(),
		resource.DeviceTaintRules(),
		resource.ResourceClaims(),
		resource.ResourceClaimTemplates(),
		resource.ResourcePoolStatusRequests(),
		resource.ResourceSlices(),

		storagemigration.StorageVersionMigrations(),

		apiserverinternal.StorageVersions(),

		lifecycle.EvictionRequests(),
		lifecycle.Evictions(),
	}
}
