package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
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

// Validator finds the faults of objects. Its zero value checks everything but CEL expressions.
type Validator struct {
	// Expressions checks CEL. Nil leaves expressions unchecked.
	Expressions Expressions
	// NoScaleToZero wants autoscalers to keep one replica (the feature gate HPAScaleToZero is off).
	NoScaleToZero bool
	// MutableVolumeAffinity lets the node affinity of a PersistentVolume be changed (the feature gate MutablePVNodeAffinity is on).
	MutableVolumeAffinity bool
}

func (v *Validator) expressions() Expressions {
	if v.Expressions == nil {
		return unchecked{}
	}
	return v.Expressions
}

// Create returns all faults of a new object, without those of CEL expressions.
func Create(obj runtime.Object) field.ErrorList { return new(Validator).Create(obj) }

// Create returns all faults of a new object. An unknown type has none.
func (v *Validator) Create(obj runtime.Object) field.ErrorList {
	if f := v.create(obj); f != nil {
		return f.list
	}
	return nil
}

// Knows tells whether there are rules for a type of object.
func Knows(obj runtime.Object) bool {
	return new(Validator).create(obj.DeepCopyObject()) != nil
}

func (v *Validator) create(obj runtime.Object) *faults {
	switch o := obj.(type) {
	case *corev1.Pod:
		return podCreate(o)
	case *corev1.PodTemplate:
		return podTemplateCreate(o)
	case *corev1.ReplicationController:
		return replicationControllerCreate(o)
	case *corev1.Service:
		return serviceCreate(o)
	case *corev1.Endpoints:
		return endpointsCreate(o)
	case *corev1.Namespace:
		return namespaceCreate(o)
	case *corev1.Node:
		return nodeCreate(o)
	case *corev1.Secret:
		return secretCreate(o)
	case *corev1.ConfigMap:
		return configMapCreate(o)
	case *corev1.ServiceAccount:
		return serviceAccountCreate(o)
	case *corev1.PersistentVolume:
		return persistentVolumeCreate(o)
	case *corev1.PersistentVolumeClaim:
		return claimCreate(o)
	case *corev1.ResourceQuota:
		return resourceQuotaCreate(o)
	case *corev1.LimitRange:
		return limitRangeCreate(o)
	case *corev1.Event:
		return eventCreate(o)
	case *corev1.Binding:
		return podBinding(o)

	case *appsv1.Deployment:
		return deploymentCreate(o)
	case *appsv1.ReplicaSet:
		return replicaSetCreate(o)
	case *appsv1.StatefulSet:
		return statefulSetCreate(o)
	case *appsv1.DaemonSet:
		return daemonSetCreate(o)
	case *appsv1.ControllerRevision:
		return controllerRevisionCreate(o)
	case *batchv1.Job:
		return jobCreate(o)
	case *batchv1.CronJob:
		return cronJobCreate(o)
	case *autoscalingv2.HorizontalPodAutoscaler:
		return v.autoscalerCreate(o)
	case *autoscalingv1.HorizontalPodAutoscaler:
		return v.autoscalerCreate(autoscalerHub(o))
	case *autoscalingv1.Scale:
		return scaleUpdate(o)
	case *policyv1.PodDisruptionBudget:
		return disruptionBudgetCreate(o)
	}
	return v.createCluster(obj)
}

func (v *Validator) createCluster(obj runtime.Object) *faults {
	switch o := obj.(type) {
	case *networkingv1.Ingress:
		return ingressCreate(o)
	case *networkingv1.IngressClass:
		return ingressClassCreate(o)
	case *networkingv1.NetworkPolicy:
		return networkPolicyCreate(o)
	case *networkingv1.IPAddress:
		return ipAddressCreate(o)
	case *networkingv1.ServiceCIDR:
		return serviceCIDRCreate(o)
	case *discoveryv1.EndpointSlice:
		return endpointSliceCreate(o)

	case *storagev1.StorageClass:
		return storageClassCreate(o)
	case *storagev1.VolumeAttributesClass:
		return attributesClassCreate(o)
	case *storagev1.CSIDriver:
		return csiDriverCreate(o)
	case *storagev1.CSINode:
		return csiNodeCreate(o)
	case *storagev1.CSIStorageCapacity:
		return storageCapacityCreate(o)
	case *storagev1.VolumeAttachment:
		return volumeAttachmentCreate(o)
	case *storagemigrationv1.StorageVersionMigration:
		return migrationCreate(o)

	case *schedulingv1.PriorityClass:
		return priorityClassCreate(o)
	case *nodev1.RuntimeClass:
		return runtimeClassCreate(o)
	case *coordinationv1.Lease:
		return leaseCreate(o)
	case *coordinationv1beta1.LeaseCandidate:
		return leaseCandidateCreate(o)
	case *apiserverinternalv1alpha1.StorageVersion:
		return storageVersionCreate(o)
	case *resourcev1.DeviceClass:
		return v.deviceClassCreate(o)
	case *resourcev1.ResourceClaim:
		return v.resourceClaimCreate(o)
	case *resourcev1.ResourceClaimTemplate:
		return v.resourceClaimTemplateCreate(o)
	case *resourcev1.ResourceSlice:
		return resourceSliceCreate(o)
	case *resourcev1.DeviceTaintRule:
		return deviceTaintRuleCreate(o)
	}
	return v.createGroups(obj)
}

func (v *Validator) createGroups(obj runtime.Object) *faults {
	switch o := obj.(type) {
	case *resourcev1alpha3.ResourcePoolStatusRequest:
		return poolStatusRequestCreate(o)
	case *schedulingv1alpha3.Workload:
		return workloadCreate(o)
	case *schedulingv1alpha3.PodGroup:
		return podGroupCreate(o)
	case *schedulingv1alpha3.CompositePodGroup:
		return compositePodGroupCreate(o)
	case *lifecyclev1alpha1.EvictionRequest:
		return evictionRequestCreate(o)
	case *lifecyclev1alpha1.Eviction:
		return evictionCreate(o)
	}
	return v.createAccess(obj)
}

func (v *Validator) createAccess(obj runtime.Object) *faults {
	switch o := obj.(type) {
	case *rbacv1.Role:
		return roleCreate(o)
	case *rbacv1.ClusterRole:
		return clusterRoleCreate(o)
	case *rbacv1.RoleBinding:
		return roleBindingCreate(o)
	case *rbacv1.ClusterRoleBinding:
		return clusterRoleBindingCreate(o)
	case *certificatesv1.CertificateSigningRequest:
		return signingRequestCreate(o)
	case *certificatesv1.ClusterTrustBundle:
		return trustBundleCreate(o)
	case *certificatesv1.PodCertificateRequest:
		return podCertificateRequestCreate(o)
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return v.validatingWebhooksCreate(o)
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return v.mutatingWebhooksCreate(o)
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return v.validatingPolicyCreate(o)
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return validatingBindingCreate(o)
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return v.mutatingPolicyCreate(o)
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return mutatingBindingCreate(o)
	case *flowcontrolv1.FlowSchema:
		return flowSchemaCreate(o)
	case *flowcontrolv1.PriorityLevelConfiguration:
		return priorityLevelCreate(o)

	case *authenticationv1.TokenReview:
		return tokenReview(o)
	case *authenticationv1.TokenRequest:
		return tokenRequest(o)
	case *authorizationv1.SubjectAccessReview:
		return subjectAccessReview(o)
	case *authorizationv1.SelfSubjectAccessReview:
		return selfSubjectAccessReview(o)
	case *authorizationv1.LocalSubjectAccessReview:
		return localSubjectAccessReview(o)
	}
	return nil
}
