package defaulting

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// object is a pointer to T that is an API object.
type object[T any] interface {
	*T
	runtime.Object
}

// add registers the defaults of a kind and of its list.
func add[T, L any, PT object[T], PL object[L]](s *runtime.Scheme, fill func(PT), items func(PL) []T) {
	s.AddTypeDefaultingFunc(PT(new(T)), func(o any) { fill(o.(PT)) })
	s.AddTypeDefaultingFunc(PL(new(L)), func(o any) {
		list := items(o.(PL))
		for i := range list {
			fill(&list[i])
		}
	})
}

// Register adds the defaults of all built-in kinds, in every served version, to a scheme. The scheme need not know all
// of the kinds.
func Register(s *runtime.Scheme) error {
	registerCore(s)
	registerWorkloads(s)
	registerCluster(s)
	registerPolicies(s)
	registerDevices(s)
	return nil
}

func registerCore(s *runtime.Scheme) {
	add(s, Pod, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	add(s, PodTemplate, func(l *corev1.PodTemplateList) []corev1.PodTemplate { return l.Items })
	add(s, ReplicationController, func(l *corev1.ReplicationControllerList) []corev1.ReplicationController { return l.Items })
	add(s, Service, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
	add(s, Endpoints, func(l *corev1.EndpointsList) []corev1.Endpoints { return l.Items })
	add(s, Namespace, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
	add(s, Node, func(l *corev1.NodeList) []corev1.Node { return l.Items })
	add(s, Secret, func(l *corev1.SecretList) []corev1.Secret { return l.Items })
	add(s, PersistentVolume, func(l *corev1.PersistentVolumeList) []corev1.PersistentVolume { return l.Items })
	add(s, PersistentVolumeClaim, func(l *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
	add(s, LimitRange, func(l *corev1.LimitRangeList) []corev1.LimitRange { return l.Items })
	add(s, ResourceQuota, func(l *corev1.ResourceQuotaList) []corev1.ResourceQuota { return l.Items })
}

func registerWorkloads(s *runtime.Scheme) {
	add(s, Deployment, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items })
	add(s, ReplicaSet, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
	add(s, StatefulSet, func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items })
	add(s, DaemonSet, func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items })
	add(s, Job, func(l *batchv1.JobList) []batchv1.Job { return l.Items })
	add(s, CronJob, func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items })
	add(s, HorizontalPodAutoscaler, func(l *autoscalingv2.HorizontalPodAutoscalerList) []autoscalingv2.HorizontalPodAutoscaler {
		return l.Items
	})
	add(s, HorizontalPodAutoscalerV1, func(l *autoscalingv1.HorizontalPodAutoscalerList) []autoscalingv1.HorizontalPodAutoscaler {
		return l.Items
	})
}

func registerCluster(s *runtime.Scheme) {
	add(s, NetworkPolicy, func(l *networkingv1.NetworkPolicyList) []networkingv1.NetworkPolicy { return l.Items })
	add(s, IngressClass, func(l *networkingv1.IngressClassList) []networkingv1.IngressClass { return l.Items })
	add(s, EndpointSlice, func(l *discoveryv1.EndpointSliceList) []discoveryv1.EndpointSlice { return l.Items })
	add(s, StorageClass, func(l *storagev1.StorageClassList) []storagev1.StorageClass { return l.Items })
	add(s, CSIDriver, func(l *storagev1.CSIDriverList) []storagev1.CSIDriver { return l.Items })
	add(s, VolumeAttachment, func(l *storagev1.VolumeAttachmentList) []storagev1.VolumeAttachment { return l.Items })
	add(s, PriorityClass, func(l *schedulingv1.PriorityClassList) []schedulingv1.PriorityClass { return l.Items })
	add(s, RuntimeClass, func(l *nodev1.RuntimeClassList) []nodev1.RuntimeClass { return l.Items })
}

func registerPolicies(s *runtime.Scheme) {
	add(s, RoleBinding, func(l *rbacv1.RoleBindingList) []rbacv1.RoleBinding { return l.Items })
	add(s, ClusterRoleBinding, func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })
	add(s, ValidatingWebhookConfiguration, func(l *admissionregistrationv1.ValidatingWebhookConfigurationList) []admissionregistrationv1.ValidatingWebhookConfiguration {
		return l.Items
	})
	add(s, MutatingWebhookConfiguration, func(l *admissionregistrationv1.MutatingWebhookConfigurationList) []admissionregistrationv1.MutatingWebhookConfiguration {
		return l.Items
	})
	add(s, ValidatingAdmissionPolicy, func(l *admissionregistrationv1.ValidatingAdmissionPolicyList) []admissionregistrationv1.ValidatingAdmissionPolicy {
		return l.Items
	})
	add(s, ValidatingAdmissionPolicyBinding, func(l *admissionregistrationv1.ValidatingAdmissionPolicyBindingList) []admissionregistrationv1.ValidatingAdmissionPolicyBinding {
		return l.Items
	})
	add(s, MutatingAdmissionPolicy, func(l *admissionregistrationv1.MutatingAdmissionPolicyList) []admissionregistrationv1.MutatingAdmissionPolicy {
		return l.Items
	})
	add(s, MutatingAdmissionPolicyBinding, func(l *admissionregistrationv1.MutatingAdmissionPolicyBindingList) []admissionregistrationv1.MutatingAdmissionPolicyBinding {
		return l.Items
	})
	add(s, FlowSchema, func(l *flowcontrolv1.FlowSchemaList) []flowcontrolv1.FlowSchema { return l.Items })
	add(s, PriorityLevelConfiguration, func(l *flowcontrolv1.PriorityLevelConfigurationList) []flowcontrolv1.PriorityLevelConfiguration {
		return l.Items
	})
	add(s, PodCertificateRequest, func(l *certificatesv1.PodCertificateRequestList) []certificatesv1.PodCertificateRequest {
		return l.Items
	})
	s.AddTypeDefaultingFunc(&authenticationv1.TokenRequest{}, func(o any) { TokenRequest(o.(*authenticationv1.TokenRequest)) })
}

func registerDevices(s *runtime.Scheme) {
	add(s, ResourceClaim, func(l *resourcev1.ResourceClaimList) []resourcev1.ResourceClaim { return l.Items })
	add(s, ResourceClaimTemplate, func(l *resourcev1.ResourceClaimTemplateList) []resourcev1.ResourceClaimTemplate { return l.Items })
	add(s, ResourceSlice, func(l *resourcev1.ResourceSliceList) []resourcev1.ResourceSlice { return l.Items })
	add(s, ResourcePoolStatusRequest, func(l *resourcev1alpha3.ResourcePoolStatusRequestList) []resourcev1alpha3.ResourcePoolStatusRequest {
		return l.Items
	})
	add(s, PodGroup, func(l *schedulingv1alpha3.PodGroupList) []schedulingv1alpha3.PodGroup { return l.Items })
	add(s, CompositePodGroup, func(l *schedulingv1alpha3.CompositePodGroupList) []schedulingv1alpha3.CompositePodGroup {
		return l.Items
	})
	add(s, DeviceTaintRule, func(l *resourcev1.DeviceTaintRuleList) []resourcev1.DeviceTaintRule { return l.Items })
}
