package config

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// setDefaults fills what is empty, as the reference of KubeletConfiguration v1beta1 says.
func setDefaults(c *kubeletconfig.KubeletConfiguration) {
	c.APIVersion, c.Kind = kubeletconfig.SchemeGroupVersion.String(), "KubeletConfiguration"
	defaultServer(c)
	defaultAPI(c)
	defaultImages(c)
	defaultResources(c)
	defaultEviction(c)
	duration(&c.SyncFrequency, time.Minute)
	duration(&c.FileCheckFrequency, 20*time.Second)
	duration(&c.HTTPCheckFrequency, 20*time.Second)
	duration(&c.RuntimeRequestTimeout, 2*time.Minute)
	text(&c.ContainerRuntimeEndpoint, "unix:///run/containerd/containerd.sock")
	text(&c.PodLogsDir, "/var/log/pods")
	number(&c.MaxPods, 110)
	ref(&c.PodPidsLimit, -1)
	ref(&c.ResolverConfig, "/etc/resolv.conf")
	ref(&c.SeccompDefault, false)
	text(&c.ContainerLogMaxSize, "10Mi")
	ref(&c.ContainerLogMaxFiles, 5)
	ref(&c.ContainerLogMaxWorkers, 1)
	ref(&c.ContainerLogMonitorInterval, metav1.Duration{Duration: 10 * time.Second})
	ref(&c.CrashLoopBackOff.MaxContainerRestartPeriod, metav1.Duration{Duration: 5 * time.Minute})
	text(&c.HairpinMode, kubeletconfig.PromiscuousBridge)
	text(&c.VolumePluginDir, "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/")
	duration(&c.VolumeStatsAggPeriod, time.Minute)
	ref(&c.MakeIPTablesUtilChains, true)
	ref(&c.IPTablesMasqueradeBit, 14)
	ref(&c.IPTablesDropBit, 15)
	if c.UserNamespaces == nil {
		c.UserNamespaces = &kubeletconfig.UserNamespaces{}
	}
	ref(&c.UserNamespaces.IDsPerPod, 65536)
}

func defaultServer(c *kubeletconfig.KubeletConfiguration) {
	ref(&c.EnableServer, true)
	text(&c.Address, "0.0.0.0")
	number(&c.Port, 10250)
	ref(&c.HealthzPort, 10248)
	text(&c.HealthzBindAddress, "127.0.0.1")
	ref(&c.Authentication.Anonymous.Enabled, false)
	ref(&c.Authentication.Webhook.Enabled, true)
	duration(&c.Authentication.Webhook.CacheTTL, 2*time.Minute)
	if c.Authorization.Mode == "" {
		c.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	}
	duration(&c.Authorization.Webhook.CacheAuthorizedTTL, 5*time.Minute)
	duration(&c.Authorization.Webhook.CacheUnauthorizedTTL, 30*time.Second)
	ref(&c.EnableDebuggingHandlers, true)
	ref(&c.EnableProfilingHandler, true)
	ref(&c.EnableDebugFlagsHandler, true)
	ref(&c.EnableSystemLogHandler, true)
	ref(&c.EnableSystemLogQuery, false)
	duration(&c.StreamingConnectionIdleTimeout, 4*time.Hour)
}

func defaultAPI(c *kubeletconfig.KubeletConfiguration) {
	text(&c.ContentType, "application/vnd.kubernetes.protobuf")
	ref(&c.KubeAPIQPS, 50)
	number(&c.KubeAPIBurst, 100)
	ref(&c.EventRecordQPS, 50)
	number(&c.EventBurst, 100)
	ref(&c.RegisterNode, true)
	ref(&c.EnableControllerAttachDetach, true)
	// An unchanged status is written every five minutes; who sets how often it is computed means that for both.
	if c.NodeStatusReportFrequency.Duration == 0 {
		c.NodeStatusReportFrequency.Duration = 5 * time.Minute
		if c.NodeStatusUpdateFrequency.Duration != 0 {
			c.NodeStatusReportFrequency.Duration = c.NodeStatusUpdateFrequency.Duration
		}
	}
	duration(&c.NodeStatusUpdateFrequency, 10*time.Second)
	number(&c.NodeLeaseDurationSeconds, 40)
	ref(&c.NodeStatusMaxImages, 50)
	if c.ConfigMapAndSecretChangeDetectionStrategy == "" {
		c.ConfigMapAndSecretChangeDetectionStrategy = kubeletconfig.WatchChangeDetectionStrategy
	}
}

func defaultImages(c *kubeletconfig.KubeletConfiguration) {
	ref(&c.RegistryPullQPS, 5)
	number(&c.RegistryBurst, 10)
	ref(&c.SerializeImagePulls, c.MaxParallelImagePulls == nil || *c.MaxParallelImagePulls < 2)
	duration(&c.ImageMinimumGCAge, 2*time.Minute)
	ref(&c.ImageGCHighThresholdPercent, 85)
	ref(&c.ImageGCLowThresholdPercent, 80)
	if c.ImagePullCredentialsVerificationPolicy == "" {
		c.ImagePullCredentialsVerificationPolicy = kubeletconfig.NeverVerify
	}
}

func defaultResources(c *kubeletconfig.KubeletConfiguration) {
	ref(&c.OOMScoreAdj, -999)
	ref(&c.CgroupsPerQOS, true)
	text(&c.CgroupDriver, "cgroupfs")
	text(&c.CPUManagerPolicy, "none")
	duration(&c.CPUManagerReconcilePeriod, 10*time.Second)
	text(&c.MemoryManagerPolicy, kubeletconfig.NoneMemoryManagerPolicy)
	text(&c.TopologyManagerPolicy, kubeletconfig.NoneTopologyManagerPolicy)
	text(&c.TopologyManagerScope, kubeletconfig.ContainerTopologyManagerScope)
	ref(&c.CPUCFSQuota, true)
	ref(&c.CPUCFSQuotaPeriod, metav1.Duration{Duration: 100 * time.Millisecond})
	if c.MaxOpenFiles == 0 {
		c.MaxOpenFiles = 1000000
	}
	ref(&c.FailSwapOn, true)
	ref(&c.FailCgroupV1, true)
	ref(&c.LocalStorageCapacityIsolation, true)
	if c.EnforceNodeAllocatable == nil {
		c.EnforceNodeAllocatable = []string{"pods"}
	}
}

func defaultEviction(c *kubeletconfig.KubeletConfiguration) {
	hard := map[string]string{"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%"}
	ref(&c.MergeDefaultEvictionSettings, false)
	switch {
	case c.EvictionHard == nil:
		c.EvictionHard = hard
	case *c.MergeDefaultEvictionSettings:
		maps.Copy(hard, c.EvictionHard)
		c.EvictionHard = hard
	}
	duration(&c.EvictionPressureTransitionPeriod, 5*time.Minute)
}

func text(p *string, value string) {
	if *p == "" {
		*p = value
	}
}

func number(p *int32, value int32) {
	if *p == 0 {
		*p = value
	}
}

func ref[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

func duration(p *metav1.Duration, value time.Duration) {
	if p.Duration == 0 {
		p.Duration = value
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
