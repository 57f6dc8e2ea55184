package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Namespaced tells whether objects of a type live in a namespace. It is for types that Create knows.
func Namespaced(obj runtime.Object) bool {
	switch obj.(type) {
	case *corev1.Namespace, *corev1.Node, *corev1.PersistentVolume,
		*rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding,
		*networkingv1.IngressClass, *networkingv1.IPAddress, *networkingv1.ServiceCIDR,
		*storagev1.StorageClass, *storagev1.VolumeAttributesClass, *storagev1.CSIDriver, *storagev1.CSINode, *storagev1.VolumeAttachment,
		*storagemigrationv1.StorageVersionMigration, *schedulingv1.PriorityClass, *nodev1.RuntimeClass,
		*certificatesv1.CertificateSigningRequest, *certificatesv1.ClusterTrustBundle,
		*admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfiguration,
		*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding,
		*admissionregistrationv1.MutatingAdmissionPolicy, *admissionregistrationv1.MutatingAdmissionPolicyBinding,
		*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration,
		*resourcev1.DeviceClass, *resourcev1.ResourceSlice, *resourcev1.DeviceTaintRule, *resourcev1alpha3.ResourcePoolStatusRequest, *apiserverinternalv1alpha1.StorageVersion:
		return false
	}
	return true
}
