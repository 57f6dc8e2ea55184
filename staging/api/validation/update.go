package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	storagev1 "k8s.io/api/storage/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Update returns all faults of a changed object, without those of CEL expressions. Both are of one type.
func Update(obj, old runtime.Object) field.ErrorList { return new(Validator).Update(obj, old) }

// Update returns all faults of a changed object: what it says, what it must not have changed, and its metadata.
func (v *Validator) Update(obj, old runtime.Object) field.ErrorList {
	if f := v.update(obj, old); f != nil {
		return f.list
	}
	return nil
}

// pair calls a rule with both objects if the old one is of the new one's type.
func pair[T runtime.Object](obj T, old runtime.Object, rule func(obj, old T) *faults) *faults {
	if o, ok := old.(T); ok {
		return rule(obj, o)
	}
	return nil
}

func (v *Validator) update(obj, old runtime.Object) *faults {
	switch o := obj.(type) {
	case *corev1.Pod:
		return pair(o, old, podUpdate)
	case *corev1.PodTemplate:
		return pair(o, old, podTemplateUpdate)
	case *corev1.ReplicationController:
		return pair(o, old, replicationControllerUpdate)
	case *corev1.Service:
		return pair(o, old, serviceUpdate)
	case *corev1.Endpoints:
		return pair(o, old, endpointsUpdate)
	case *corev1.Namespace:
		return pair(o, old, namespaceUpdate)
	case *corev1.Node:
		return pair(o, old, nodeUpdate)
	case *corev1.Secret:
		return pair(o, old, secretUpdate)
	case *corev1.ConfigMap:
		return pair(o, old, configMapUpdate)
	case *corev1.ServiceAccount:
		return pair(o, old, serviceAccountUpdate)
	case *corev1.PersistentVolume:
		return pair(o, old, v.persistentVolumeUpdate)
	case *corev1.PersistentVolumeClaim:
		return pair(o, old, claimUpdate)
	case *corev1.ResourceQuota:
		return pair(o, old, resourceQuotaUpdate)
	case *corev1.LimitRange:
		return pair(o, old, limitRangeUpdate)
	case *corev1.Event:
		return pair(o, old, eventUpdate)

	case *appsv1.Deployment:
		return pair(o, old, deploymentUpdate)
	case *appsv1.ReplicaSet:
		return pair(o, old, replicaSetUpdate)
	case *appsv1.StatefulSet:
		return pair(o, old, statefulSetUpdate)
	case *appsv1.DaemonSet:
		return pair(o, old, daemonSetUpdate)
	case *appsv1.ControllerRevision:
		return pair(o, old, controllerRevisionUpdate)
	case *batchv1.Job:
		return pair(o, old, jobUpdate)
	case *batchv1.CronJob:
		return pair(o, old, cronJobUpdate)
	case *autoscalingv2.HorizontalPodAutoscaler:
		return pair(o, old, v.autoscalerUpdate)
	case *autoscalingv1.HorizontalPodAutoscaler:
		return pair(o, old, func(obj, old *autoscalingv1.HorizontalPodAutoscaler) *faults {
			return v.autoscalerUpdate(autoscalerHub(obj), autoscalerHub(old))
		})
	case *policyv1.PodDisruptionBudget:
		return pair(o, old, disruptionBudgetUpdate)
	}
	return v.updateCluster(obj, old)
}

func (v *Validator) updateCluster(obj, old runtime.Object) *faults {
	switch o := obj.(type) {
	case *networkingv1.Ingress:
		return pair(o, old, ingressUpdate)
	case *networkingv1.IngressClass:
		return pair(o, old, ingressClassUpdate)
	case *networkingv1.NetworkPolicy:
		return pair(o, old, networkPolicyUpdate)
	case *networkingv1.IPAddress:
		return pair(o, old, ipAddressUpdate)
	case *networkingv1.ServiceCIDR:
		return pair(o, old, serviceCIDRUpdate)
	case *discoveryv1.EndpointSlice:
		return pair(o, old, endpointSliceUpdate)

	case *storagev1.StorageClass:
		return pair(o, old, storageClassUpdate)
	case *storagev1.VolumeAttributesClass:
		return pair(o, old, attributesClassUpdate)
	case *storagev1.CSIDriver:
		return pair(o, old, csiDriverUpdate)
	case *storagev1.CSINode:
		return pair(o, old, csiNodeUpdate)
	case *storagev1.CSIStorageCapacity:
		return pair(o, old, storageCapacityUpdate)
	case *storagev1.VolumeAttachment:
		return pair(o, old, volumeAttachmentUpdate)
	case *storagemigrationv1.StorageVersionMigration:
		return pair(o, old, migrationUpdate)

	case *schedulingv1.PriorityClass:
		return pair(o, old, priorityClassUpdate)
	case *nodev1.RuntimeClass:
		return pair(o, old, runtimeClassUpdate)
	case *coordinationv1.Lease:
		return pair(o, old, leaseUpdate)
	case *coordinationv1beta1.LeaseCandidate:
		return pair(o, old, leaseCandidateUpdate)
	case *apiserverinternalv1alpha1.StorageVersion:
		return pair(o, old, storageVersionUpdate)
	case *resourcev1.DeviceClass:
		return pair(o, old, v.deviceClassUpdate)
	case *resourcev1.ResourceClaim:
		return pair(o, old, v.resourceClaimUpdate)
	case *resourcev1.ResourceClaimTemplate:
		return pair(o, old, v.resourceClaimTemplateUpdate)
	case *resourcev1.ResourceSlice:
		return pair(o, old, resourceSliceUpdate)
	case *resourcev1.DeviceTaintRule:
		return pair(o, old, deviceTaintRuleUpdate)
	}
	return v.updateGroups(obj, old)
}

func (v *Validator) updateGroups(obj, old runtime.Object) *faults {
	switch o := obj.(type) {
	case *resourcev1alpha3.ResourcePoolStatusRequest:
		return pair(o, old, poolStatusRequestUpdate)
	case *schedulingv1alpha3.Workload:
		return pair(o, old, workloadUpdate)
	case *schedulingv1alpha3.PodGroup:
		return pair(o, old, podGroupUpdate)
	case *schedulingv1alpha3.CompositePodGroup:
		return pair(o, old, compositePodGroupUpdate)
	case *lifecyclev1alpha1.EvictionRequest:
		return pair(o, old, evictionRequestUpdate)
	case *lifecyclev1alpha1.Eviction:
		return pair(o, old, evictionUpdate)
	}
	return v.updateAccess(obj, old)
}

func (v *Validator) updateAccess(obj, old runtime.Object) *faults {
	switch o := obj.(type) {
	case *rbacv1.Role:
		return pair(o, old, roleUpdate)
	case *rbacv1.ClusterRole:
		return pair(o, old, clusterRoleUpdate)
	case *rbacv1.RoleBinding:
		return pair(o, old, roleBindingUpdate)
	case *rbacv1.ClusterRoleBinding:
		return pair(o, old, clusterRoleBindingUpdate)
	case *certificatesv1.CertificateSigningRequest:
		return pair(o, old, signingRequestUpdate)
	case *certificatesv1.ClusterTrustBundle:
		return pair(o, old, trustBundleUpdate)
	case *certificatesv1.PodCertificateRequest:
		return pair(o, old, podCertificateRequestUpdate)
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return pair(o, old, v.validatingWebhooksUpdate)
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return pair(o, old, v.mutatingWebhooksUpdate)
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return pair(o, old, v.validatingPolicyUpdate)
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return pair(o, old, validatingBindingUpdate)
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return pair(o, old, v.mutatingPolicyUpdate)
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return pair(o, old, mutatingBindingUpdate)
	case *flowcontrolv1.FlowSchema:
		return pair(o, old, flowSchemaUpdate)
	case *flowcontrolv1.PriorityLevelConfiguration:
		return pair(o, old, priorityLevelUpdate)
	}
	return nil
}
