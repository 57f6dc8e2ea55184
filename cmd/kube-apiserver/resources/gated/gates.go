package gated

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/component-base/featuregate"
)

// Gates of whole kinds.
const (
	CompositePodGroup     featuregate.Feature = "CompositePodGroup"
	DRAResourcePoolStatus featuregate.Feature = "DRAResourcePoolStatus"
	EvictionRequestAPI    featuregate.Feature = "EvictionRequestAPI"
	GenericWorkload       featuregate.Feature = "GenericWorkload"
)

// Gates of behaviour.
const (
	// HPAScaleToZero lets autoscalers take the last replica away.
	HPAScaleToZero featuregate.Feature = "HPAScaleToZero"
	// MutablePVNodeAffinity lets a volume's node affinity be changed (KEP-5381).
	MutablePVNodeAffinity featuregate.Feature = "MutablePVNodeAffinity"
	// NodeDeclaredFeatures holds changes of pods against what their nodes say they can do (KEP-5328).
	NodeDeclaredFeatures featuregate.Feature = "NodeDeclaredFeatures"
	// PodLogsQuerySplitStreams lets clients ask for one stream of a log (KEP-3288).
	PodLogsQuerySplitStreams featuregate.Feature = "PodLogsQuerySplitStreams"
)

// gate is a feature and the fields that are there only with it. beta is the release since which it is no longer alpha, if
// it is not, and on says whether it is on by default since then.
type gate struct {
	name        featuregate.Feature
	alpha, beta string
	on          bool
	fields      []field
}

// field is a field of a type, wherever that type occurs. A second name is a field of the first one: what is gated is to
// use that, and then the first is dropped as a whole.
type field struct {
	holder     reflect.Type
	name, part string
}

func in[T any](names ...string) (out []field) {
	for _, n := range names {
		out = append(out, field{holder: reflect.TypeFor[T](), name: n})
	}
	return out
}

func join(lists ...[]field) (out []field) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// gates is what k8s.io/api says of its fields by "+featureGate" and in prose, with the releases of the reference of
// feature gates.
func gates() []gate {
	return []gate{
		{name: "AtomicWriteVolumeUserFields", alpha: "1.37", fields: join(
			in[corev1.SecretVolumeSource]("DefaultUser"), in[corev1.ConfigMapVolumeSource]("DefaultUser"), in[corev1.ProjectedVolumeSource]("DefaultUser"),
			in[corev1.DownwardAPIVolumeSource]("DefaultUser"), in[corev1.KeyToPath]("User"), in[corev1.DownwardAPIVolumeFile]("User"),
			in[corev1.ServiceAccountTokenProjection]("User"), in[corev1.ClusterTrustBundleProjection]("User"), in[corev1.PodCertificateProjection]("User"))},
		{name: CompositePodGroup, alpha: "1.37", fields: join(
			in[schedulingv1alpha3.WorkloadSpec]("CompositePodGroupTemplates"), in[schedulingv1alpha3.PodGroupSpec]("ParentCompositePodGroupName"))},
		{name: "CrossNamespaceVolumeDataSource", alpha: "1.26", fields: []field{
			{holder: reflect.TypeFor[corev1.PersistentVolumeClaimSpec](), name: "DataSourceRef", part: "Namespace"}}},
		{name: "CSIVolumeHealth", alpha: "1.21", fields: join(
			in[corev1.PersistentVolumeClaimStatus]("HealthStatus"), in[corev1.PodStatus]("VolumeHealth"), in[storagev1.CSINodeStatus]("StorageHealth"))},
		{name: "DRADerivedAttributes", alpha: "1.37", fields: join(
			in[resourcev1.ExactDeviceRequest]("DerivedAttributes"), in[resourcev1.DeviceSubRequest]("DerivedAttributes"))},
		{name: "DRADeviceCompatibilityGroups", alpha: "1.37", fields: in[resourcev1.DeviceCounterConsumption]("CompatibilityGroups")},
		{name: "DRAListTypeAttributes", alpha: "1.36", fields: in[resourcev1.DeviceAttribute]("IntValues", "BoolValues", "StringValues", "VersionValues")},
		{name: "DRANodeAllocatableResources", alpha: "1.36", fields: join(
			in[resourcev1.Device]("NodeAllocatableResources"), in[corev1.PodStatus]("NodeAllocatableResourceClaimStatuses"))},
		{name: "DRAOptionalNodeOperations", alpha: "1.37", fields: join(
			in[resourcev1.ResourceSliceSpec]("SkipNodeOperations"), in[resourcev1.DeviceRequestAllocationResult]("SkipNodeOperations"))},
		{name: "DRAPartitionableDevicesType", alpha: "1.37", fields: join(
			in[resourcev1.ResourceSliceSpec]("PartitionTypeAttribute"), in[resourcev1alpha3.ResourcePoolStatusRequestSpec]("DefaultPartitionTypeAttribute"))},
		{name: DRAResourcePoolStatus, alpha: "1.36"},
		{name: "DRAWorkloadResourceClaims", alpha: "1.36", beta: "1.37", fields: join(in[schedulingv1alpha3.PodGroupTemplate]("ResourceClaims"),
			in[schedulingv1alpha3.PodGroupSpec]("ResourceClaims"), in[schedulingv1alpha3.PodGroupStatus]("ResourceClaimStatuses"))},
		{name: "EmptyDirVolumeMode", alpha: "1.37", fields: in[corev1.EmptyDirVolumeSource]("Mode")},
		{name: EvictionRequestAPI, alpha: "1.37", fields: in[corev1.PodSpec]("EvictionResponders")},
		{name: GenericWorkload, alpha: "1.35", beta: "1.37", fields: in[corev1.PodSpec]("SchedulingGroup")},
		{name: "GRPCContainerProbeTLS", alpha: "1.37", fields: in[corev1.GRPCAction]("Mode")},
		{name: "H2CContainerProbe", alpha: "1.37", fields: in[corev1.HTTPGetAction]("Protocol")},
		{name: HPAScaleToZero, alpha: "1.16", beta: "1.37", on: true},
		{name: "InPlacePodVerticalScalingSchedulerPreemption", alpha: "1.37", fields: in[corev1.NodeSpec]("PodPreemptionPolicy")},
		{name: MutablePVNodeAffinity, alpha: "1.35"},
		{name: "PodGroupPreemptionPolicy", alpha: "1.37", fields: join(
			in[schedulingv1alpha3.PodGroupTemplate]("PreemptionPolicy"), in[schedulingv1alpha3.CompositePodGroupTemplate]("PreemptionPolicy"),
			in[schedulingv1alpha3.PodGroupSpec]("PreemptionPolicy"), in[schedulingv1alpha3.CompositePodGroupSpec]("PreemptionPolicy"))},
		{name: PodLogsQuerySplitStreams, alpha: "1.32"},
		{name: "TopologyAwareWorkloadScheduling", alpha: "1.36", fields: join(
			in[schedulingv1alpha3.PodGroupTemplate]("SchedulingConstraints"), in[schedulingv1alpha3.PodGroupSpec]("SchedulingConstraints"))},
		{name: "VolumeBindMountOptions", alpha: "1.37", fields: in[corev1.VolumeMount]("BindMountOptions")},
		{name: "WorkloadWithJob", alpha: "1.36", fields: in[batchv1.JobSpec]("Scheduling")},
	}
}

// betas are features that are on unless somebody switches them off, with the fields that are dropped then.
func betas() []gate {
	return []gate{
		{name: "ContainerStopSignals", fields: join(in[corev1.Lifecycle]("StopSignal"), in[corev1.ContainerStatus]("StopSignal"))},
		{name: "CSIServiceAccountTokenSecrets", fields: in[storagev1.CSIDriverSpec]("ServiceAccountTokenInSecrets")},
		{name: "DRAConsumableCapacity", fields: join(in[resourcev1.Device]("AllowMultipleAllocations"), in[resourcev1.DeviceCapacity]("RequestPolicy"),
			in[resourcev1.ExactDeviceRequest]("Capacity"), in[resourcev1.DeviceSubRequest]("Capacity"), in[resourcev1.DeviceConstraint]("DistinctAttribute"),
			in[resourcev1.DeviceRequestAllocationResult]("ShareID", "ConsumedCapacity"), in[resourcev1.AllocatedDeviceStatus]("ShareID"))},
		{name: "DRADeviceBindingConditions", fields: join(in[resourcev1.Device]("BindsToNode", "BindingConditions", "BindingFailureConditions"),
			in[resourcev1.AllocationResult]("AllocationTimestamp"),
			in[resourcev1.DeviceRequestAllocationResult]("BindingConditions", "BindingFailureConditions"))},
		{name: "DRAExtendedResource", fields: join(in[corev1.PodStatus]("ExtendedResourceClaimStatus"), in[resourcev1.DeviceClassSpec]("ExtendedResourceName"))},
		{name: "DRAPartitionableDevices", fields: join(in[resourcev1.ResourceSliceSpec]("SharedCounters", "PerDeviceNodeSelection"),
			in[resourcev1.Device]("ConsumesCounters", "NodeName", "NodeSelector", "AllNodes"))},
		{name: "EnvFiles", fields: in[corev1.EnvVarSource]("FileKeyRef")},
		{name: "HostnameOverride", fields: in[corev1.PodSpec]("HostnameOverride")},
		{name: "ImageVolumeWithDigest", fields: in[corev1.VolumeStatus]("Image")},
		{name: "InPlacePodLevelResourcesVerticalScaling", fields: in[corev1.PodStatus]("AllocatedResources", "Resources")},
		{name: "MaxUnavailableStatefulSet", fields: in[appsv1.RollingUpdateStatefulSetStrategy]("MaxUnavailable")},
		{name: NodeDeclaredFeatures, fields: in[corev1.NodeStatus]("DeclaredFeatures")},
		{name: "PodLevelResources", fields: in[corev1.PodSpec]("Resources")},
		{name: "ResourceHealthStatus", fields: in[corev1.ContainerStatus]("AllocatedResourcesStatus")},
		{name: "VolumeLimitScaling", fields: in[storagev1.CSIDriverSpec]("PreventPodSchedulingIfMissing")},
	}
}

// table is all gates with fields, and those of kinds.
func table() []gate { return append(append(gates(), betas()...), ofLibrary()...) }

// ofLibrary are fields behind a gate that k8s.io/apiserver has.
func ofLibrary() []gate {
	return []gate{{name: features.CoordinatedLeaderElection, fields: in[coordinationv1.LeaseSpec]("Strategy", "PreferredHolder")}}
}

// always are features that this API always has: naming them is allowed, switching them off is not.
var always = []featuregate.Feature{
	"ClusterTrustBundle", "ClusterTrustBundleProjection", "ContainerRestartRules", "DRAAdminAccess", "DRADeviceTaintRules", "DRADeviceTaints",
	"DRAPrioritizedList", "DRAResourceClaimDeviceStatus", "DynamicResourceAllocation", "HPAConfigurableTolerance", "ImageVolume",
	"InPlacePodVerticalScaling", "MutableCSINodeAllocatableCount", "PodCertificateRequest", "PodObservedGenerationTracking", "ProcMountType",
	"RecursiveReadOnlyMounts", "RelaxedEnvironmentVariableValidation", "SELinuxChangePolicy", "SELinuxMountReadWriteOncePod", "SidecarContainers", "StorageVersionMigrator",
	"SupplementalGroupsPolicy", "UserNamespacesSupport", "VolumeAttributesClass",
}

// Add makes the gates of the API known.
func Add(known featuregate.MutableVersionedFeatureGate) error {
	specs := map[featuregate.Feature]featuregate.VersionedSpecs{}
	for _, g := range gates() {
		specs[g.name] = featuregate.VersionedSpecs{{Version: version.MustParse(g.alpha), PreRelease: featuregate.Alpha}}
		if g.beta != "" {
			specs[g.name] = append(specs[g.name], featuregate.FeatureSpec{Version: version.MustParse(g.beta), Default: g.on, PreRelease: featuregate.Beta})
		}
	}
	if err := known.AddVersioned(specs); err != nil {
		return err
	}
	fixed := map[featuregate.Feature]featuregate.FeatureSpec{}
	for _, name := range always {
		fixed[name] = featuregate.FeatureSpec{Default: true, LockToDefault: true, PreRelease: featuregate.GA}
	}
	for _, g := range betas() {
		fixed[g.name] = featuregate.FeatureSpec{Default: true, PreRelease: featuregate.Beta}
	}
	return known.Add(fixed)
}
