package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	storagev1 "k8s.io/api/storage/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// StatusUpdate returns all faults of an object whose status changed. Both are of one type.
func StatusUpdate(obj, old runtime.Object) field.ErrorList {
	if f := statusUpdate(obj, old); f != nil {
		return f.list
	}
	return nil
}

// StatusUpdate is the function of the same name: a status holds no expression.
func (v *Validator) StatusUpdate(obj, old runtime.Object) field.ErrorList {
	return StatusUpdate(obj, old)
}

func statusUpdate(obj, old runtime.Object) *faults {
	switch o := obj.(type) {
	case *corev1.Pod:
		return pair(o, old, podStatus)
	case *corev1.ReplicationController:
		return pair(o, old, replicationControllerStatus)
	case *corev1.Service:
		return pair(o, old, serviceStatus)
	case *corev1.Namespace:
		return pair(o, old, namespaceStatus)
	case *corev1.Node:
		return pair(o, old, nodeStatus)
	case *corev1.PersistentVolume:
		return pair(o, old, persistentVolumeStatus)
	case *corev1.PersistentVolumeClaim:
		return pair(o, old, claimStatus)
	case *corev1.ResourceQuota:
		return pair(o, old, resourceQuotaStatus)
	case *appsv1.Deployment:
		return pair(o, old, deploymentStatus)
	case *appsv1.ReplicaSet:
		return pair(o, old, replicaSetStatus)
	case *appsv1.StatefulSet:
		return pair(o, old, statefulSetStatus)
	case *appsv1.DaemonSet:
		return pair(o, old, daemonSetStatus)
	case *batchv1.Job:
		return pair(o, old, jobStatus)
	case *batchv1.CronJob:
		return pair(o, old, cronJobStatus)
	case *autoscalingv2.HorizontalPodAutoscaler:
		return pair(o, old, autoscalerStatus)
	case *policyv1.PodDisruptionBudget:
		return pair(o, old, disruptionBudgetStatus)
	case *networkingv1.Ingress:
		return pair(o, old, ingressStatus)
	case *networkingv1.ServiceCIDR:
		return pair(o, old, serviceCIDRStatus)
	case *storagev1.VolumeAttachment:
		return pair(o, old, volumeAttachmentUpdate)
	case *storagemigrationv1.StorageVersionMigration:
		return pair(o, old, migrationStatus)
	case *certificatesv1.CertificateSigningRequest:
		return pair(o, old, signingStatus)
	case *certificatesv1.PodCertificateRequest:
		return pair(o, old, podCertificateStatus)
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return pair(o, old, validatingPolicyStatus)
	case *flowcontrolv1.FlowSchema:
		return pair(o, old, flowSchemaStatus)
	case *flowcontrolv1.PriorityLevelConfiguration:
		return pair(o, old, priorityLevelStatus)
	case *resourcev1.ResourceClaim:
		return pair(o, old, resourceClaimStatus)
	case *resourcev1.DeviceTaintRule:
		return pair(o, old, deviceTaintRuleStatus)
	case *resourcev1alpha3.ResourcePoolStatusRequest:
		return pair(o, old, poolStatusRequestStatus)
	case *apiserverinternalv1alpha1.StorageVersion:
		return pair(o, old, storageVersionStatus)
	case *schedulingv1alpha3.PodGroup:
		return pair(o, old, podGroupStatus)
	case *schedulingv1alpha3.CompositePodGroup:
		return pair(o, old, compositePodGroupStatus)
	case *lifecyclev1alpha1.EvictionRequest:
		return pair(o, old, evictionRequestStatus)
	case *lifecyclev1alpha1.Eviction:
		return pair(o, old, evictionStatus)
	}
	return nil
}
