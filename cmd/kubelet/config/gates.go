package config

import (
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// newGates knows the feature gates of a node that users set. Those of features that are generally available are
// locked: naming them is allowed, switching them off is not. A gate that is not listed here is an error.
func newGates() featuregate.MutableFeatureGate {
	gates := featuregate.NewFeatureGate()
	specs := map[featuregate.Feature]featuregate.FeatureSpec{}
	for _, name := range []featuregate.Feature{
		"ContainerRestartRules", "ImageVolume", "InPlacePodVerticalScaling", "KubeletCgroupDriverFromCRI",
		"NodeSwap", "PodLifecycleSleepAction", "PodLifecycleSleepActionAllowZero", "PodObservedGenerationTracking",
		"PodReadyToStartContainersCondition", "ProcMountType", "RecursiveReadOnlyMounts", "RotateKubeletServerCertificate",
		"SidecarContainers", "SupplementalGroupsPolicy", "TopologyAwareHints", "UserNamespacesSupport",
	} {
		specs[name] = featuregate.FeatureSpec{Default: true, LockToDefault: true, PreRelease: featuregate.GA}
	}
	for _, name := range []featuregate.Feature{
		"EventedPLEG", "HostnameOverride", "KubeletCrashLoopBackOffMax", "LocalStorageCapacityIsolationFSQuotaMonitoring",
		"PodLevelResources", "RelaxedEnvironmentVariableValidation",
	} {
		specs[name] = featuregate.FeatureSpec{Default: true, LockToDefault: true, PreRelease: featuregate.Beta}
	}
	runtime.Must(gates.Add(specs))
	runtime.Must(logsapi.AddFeatureGates(gates))
	return gates
}
