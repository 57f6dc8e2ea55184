package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// setDefaults fills what is empty, as the reference of KubeletConfiguration v1beta1 says.
func setDefaults(c *kubeletconfig.KubeletConfiguration) {
	c.APIVersion, c.Kind = kubeletconfig.SchemeGroupVersion.String(), "KubeletConfiguration"
	text(&c.Address, "0.0.0.0")
	number(&c.Port, 10250)
	ref(&c.HealthzPort, 10248)
	text(&c.HealthzBindAddress, "127.0.0.1")
	ref(&c.EnableServer, true)
	duration(&c.SyncFrequency, time.Minute)
	duration(&c.FileCheckFrequency, 20*time.Second)
	duration(&c.HTTPCheckFrequency, 20*time.Second)
	ref(&c.Authentication.Anonymous.Enabled, false)
	ref(&c.Authentication.Webhook.Enabled, true)
	duration(&c.Authentication.Webhook.CacheTTL, 2*time.Minute)
	if c.Authorization.Mode == "" {
		c.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	}
	duration(&c.Authorization.Webhook.CacheAuthorizedTTL, 5*time.Minute)
	duration(&c.Authorization.Webhook.CacheUnauthorizedTTL, 30*time.Second)
	ref(&c.RegistryPullQPS, 5)
	number(&c.RegistryBurst, 10)
	ref(&c.EventRecordQPS, 50)
	number(&c.EventBurst, 100)
	ref(&c.EnableDebuggingHandlers, true)
	ref(&c.OOMScoreAdj, -999)
	duration(&c.StreamingConnectionIdleTimeout, 4*time.Hour)
	duration(&c.NodeStatusUpdateFrequency, 10*time.Second)
	duration(&c.NodeStatusReportFrequency, 5*time.Minute)
	number(&c.NodeLeaseDurationSeconds, 40)
	duration(&c.ImageMinimumGCAge, 2*time.Minute)
	ref(&c.ImageGCHighThresholdPercent, 85)
	ref(&c.ImageGCLowThresholdPercent, 80)
	ref(&c.CgroupsPerQOS, true)
	text(&c.CgroupDriver, "cgroupfs")
	number(&c.MaxPods, 110)
	ref(&c.PodPidsLimit, -1)
	ref(&c.ResolverConfig, "/etc/resolv.conf")
	ref(&c.CPUCFSQuota, true)
	ref(&c.NodeStatusMaxImages, 50)
	ref(&c.KubeAPIQPS, 50)
	number(&c.KubeAPIBurst, 100)
	ref(&c.SerializeImagePulls, true)
	if c.EvictionHard == nil {
		c.EvictionHard = map[string]string{"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%"}
	}
	duration(&c.EvictionPressureTransitionPeriod, 5*time.Minute)
	ref(&c.FailSwapOn, true)
	ref(&c.FailCgroupV1, false)
	text(&c.ContainerLogMaxSize, "10Mi")
	ref(&c.ContainerLogMaxFiles, 5)
	if c.ContainerLogMonitorInterval == nil {
		c.ContainerLogMonitorInterval = &metav1.Duration{Duration: 10 * time.Second}
	}
	if len(c.EnforceNodeAllocatable) == 0 {
		c.EnforceNodeAllocatable = []string{"pods"}
	}
	ref(&c.RegisterNode, true)
	ref(&c.EnableProfilingHandler, true)
	ref(&c.EnableSystemLogHandler, true)
	ref(&c.SeccompDefault, false)
	text(&c.ContainerRuntimeEndpoint, "unix:///run/containerd/containerd.sock")
	if c.CrashLoopBackOff.MaxContainerRestartPeriod == nil {
		c.CrashLoopBackOff.MaxContainerRestartPeriod = &metav1.Duration{Duration: 5 * time.Minute}
	}
	duration(&c.RuntimeRequestTimeout, 2*time.Minute)
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
