package admission

import (
	"io"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
)

// Plugin is one row of the table of plugins.
type Plugin struct {
	Name string
	// New makes the plugin from its part of --admission-control-config-file. Those without register themselves.
	New admission.Factory
	// Off plugins run only when --enable-admission-plugins names them.
	Off bool
}

// plugins is the table of all plugins in the order in which they run. Mutating ones run before validating ones
// whatever their place; webhooks and quota come last, because they must see the final object.
func (o *Options) plugins() []Plugin {
	return []Plugin{
		{Name: "AlwaysAdmit", New: newAlwaysAdmit, Off: true},
		{Name: "NamespaceAutoProvision", New: newNamespaceAutoProvision, Off: true},
		{Name: lifecycle.PluginName},
		{Name: "NamespaceExists", New: newNamespaceExists, Off: true},
		{Name: "LimitPodHardAntiAffinityTopology", New: newLimitPodHardAntiAffinity, Off: true},
		{Name: "LimitRanger", New: newLimitRanger},
		{Name: "ServiceAccount", New: newServiceAccounts},
		{Name: "NodeRestriction", New: newNodeRestriction, Off: true},
		{Name: "TaintNodesByCondition", New: newTaintNodesByCondition},
		{Name: "AlwaysPullImages", New: newAlwaysPullImages, Off: true},
		{Name: "ImagePolicyWebhook", New: newImagePolicy, Off: true},
		{Name: "PodSecurity", New: newPodSecurity},
		{Name: "PodNodeSelector", New: newPodNodeSelector, Off: true},
		{Name: "Priority", New: newPriority},
		{Name: "DefaultTolerationSeconds", New: func(io.Reader) (admission.Interface, error) {
			return newDefaultTolerationSeconds(o.NotReadySeconds, o.UnreachableSeconds), nil
		}},
		{Name: "PodTolerationRestriction", New: newPodTolerationRestriction, Off: true},
		{Name: "EventRateLimit", New: newEventRateLimit, Off: true},
		{Name: "ExtendedResourceToleration", New: newExtendedResourceToleration, Off: true},
		{Name: "DefaultStorageClass", New: newDefaultStorageClass},
		{Name: "StorageObjectInUseProtection", New: newStorageInUse},
		{Name: "OwnerReferencesPermissionEnforcement", New: newOwnerReferences, Off: true},
		{Name: "PersistentVolumeClaimResize", New: newClaimResize},
		{Name: "RuntimeClass", New: newRuntimeClass},
		{Name: "CertificateApproval", New: newCertificateApproval},
		{Name: "CertificateSigning", New: newCertificateSigning},
		{Name: "ClusterTrustBundleAttest", New: newClusterTrustBundleAttest},
		{Name: "CertificateSubjectRestriction", New: newCertificateSubjectRestriction},
		{Name: "DefaultIngressClass", New: newDefaultIngressClass},
		// On, where upstream has it off: docs/decisions/0040-service-external-ips.md
		{Name: "DenyServiceExternalIPs", New: newDenyServiceExternalIPs},
		{Name: "PodTopologyLabels", New: newPodTopologyLabels},
		{Name: "NodeDeclaredFeatureValidator", New: newNodeDeclaredFeatures},
		{Name: mutatingpolicy.PluginName},
		{Name: mutatingwebhook.PluginName},
		{Name: validatingpolicy.PluginName},
		{Name: validatingwebhook.PluginName},
		{Name: resourcequota.PluginName, New: newResourceQuota},
		{Name: "AlwaysDeny", New: newAlwaysDeny, Off: true},
	}
}
