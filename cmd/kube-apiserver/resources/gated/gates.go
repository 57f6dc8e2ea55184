package gated

import (
	"reflect"

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

// gate is a feature that is off by default, and the fields that are there only with it. beta is the release since which
// it is no longer alpha, if it is not.
type gate struct {
	name        featuregate.Feature
	alpha, beta string
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
		{name: "InPlacePodVerticalScalingSchedulerPreemption", alpha: "1.37", fields: in[corev1.NodeSpec]("PodPreemptionPolicy")},
		{name: "PodGroupPreemptionPolicy", alpha: "1.37", fields: join(
			in[schedulingv1alpha3.PodGroupTemplate]("PreemptionPolicy"), in[schedulingv1alpha3.CompositePodGroupTemplate]("PreemptionPolicy"),
			in[schedulingv1alpha3.PodGroupSpec]("PreemptionPolicy"), in[schedulingv1alpha3.CompositePodGroupSpec]("PreemptionPolicy"))},
		{name: "TopologyAwareWorkloadScheduling", alpha: "1.36", fields: join(
			in[schedulingv1alpha3.PodGroupTemplate]("SchedulingConstraints"), in[schedulingv1alpha3.PodGroupSpec]("SchedulingConstraints"))},
		{name: "VolumeBindMountOptions", alpha: "1.37", fields: in[corev1.VolumeMount]("BindMountOptions")},
		{name: "WorkloadWithJob", alpha: "1.36", fields: in[batchv1.JobSpec]("Scheduling")},
	}
}

// ofLibrary are fields behind a gate that k8s.io/apiserver has.
func ofLibrary() []gate {
	return []gate{{name: features.CoordinatedLeaderElection, fields: in[coordinationv1.LeaseSpec]("Strategy", "PreferredHolder")}}
}

// Features that this API always has: naming them is allowed, switching them off is not.
var (
	availableGA = []featuregate.Feature{
		"ClusterTrustBundle", "ClusterTrustBundleProjection", "ContainerRestartRules", "DRAAdminAccess", "DRADeviceTaintRules", "DRADeviceTaints",
		"DRAPrioritizedList", "DRAResourceClaimDeviceStatus", "DynamicResourceAllocation", "HPAConfigurableTolerance", "ImageVolume",
		"InPlacePodVerticalScaling", "MutableCSINodeAllocatableCount", "PodCertificateRequest", "PodObservedGenerationTracking", "ProcMountType",
		"RecursiveReadOnlyMounts", "SELinuxChangePolicy", "SELinuxMountReadWriteOncePod", "SidecarContainers", "StorageVersionMigrator",
		"SupplementalGroupsPolicy", "UserNamespacesSupport", "VolumeAttributesClass",
	}
	availableBeta = []featuregate.Feature{
		"ContainerStopSignals", "CSIServiceAccountTokenSecrets", "DRAConsumableCapacity", "DRADeviceBindingConditions", "DRAExtendedResource",
		"DRAPartitionableDevices", "EnvFiles", "HostnameOverride", "ImageVolumeWithDigest", "InPlacePodLevelResourcesVerticalScaling",
		"MaxUnavailableStatefulSet", "MutablePVNodeAffinity", "NodeDeclaredFeatures", "PodLevelResources", "PodLogsQuerySplitStreams",
		"RelaxedEnvironmentVariableValidation", "ResourceHealthStatus", "VolumeLimitScaling",
	}
)

// Add makes the gates of the API known.
func Add(known featuregate.MutableVersionedFeatureGate) error {
	specs := map[featuregate.Feature]featuregate.VersionedSpecs{}
	for _, g := range gates() {
		specs[g.name] = featuregate.VersionedSpecs{{Version: version.MustParse(g.alpha), PreRelease: featuregate.Alpha}}
		if g.beta != "" {
			specs[g.name] = append(specs[g.name], featuregate.FeatureSpec{Version: version.MustParse(g.beta), PreRelease: featuregate.Beta})
		}
	}
	if err := known.AddVersioned(specs); err != nil {
		return err
	}
	fixed := map[featuregate.Feature]featuregate.FeatureSpec{}
	for _, name := range availableGA {
		fixed[name] = featuregate.FeatureSpec{Default: true, LockToDefault: true, PreRelease: featuregate.GA}
	}
	for _, name := range availableBeta {
		fixed[name] = featuregate.FeatureSpec{Default: true, LockToDefault: true, PreRelease: featuregate.Beta}
	}
	return known.Add(fixed)
}
