package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/metrics"
	metricsapi "k8s.io/component-base/metrics/api/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/cpuset"

	"pilotis.dev/api/quantities"
)

// faults collects a configuration's errors by field.
type faults struct{ list field.ErrorList }

func (f *faults) invalid(name string, value any, rule string) {
	f.list = append(f.list, field.Invalid(field.NewPath(name), value, rule))
}

func oneOf[T ~string](f *faults, name string, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		f.list = append(f.list, field.NotSupported(field.NewPath(name), value, allowed))
	}
}

// validate returns every fault of a defaulted configuration.
func validate(c *kubeletconfig.KubeletConfiguration) field.ErrorList {
	f := &faults{}
	validateServer(f, c)
	validateRates(f, c)
	validatePods(f, c)
	validateResources(f, c)
	validateEviction(f, c)
	validateRefused(f, c)
	return f.list
}

func validateServer(f *faults, c *kubeletconfig.KubeletConfiguration) {
	for name, value := range map[string]int32{"port": c.Port, "readOnlyPort": c.ReadOnlyPort, "healthzPort": *c.HealthzPort} {
		if value < 0 || value > 65535 || (name == "port" && value == 0) {
			f.invalid(name, value, "must be a port: 1 to 65535, or 0 where it can be switched off")
		}
	}
	for name, value := range map[string]string{"address": c.Address, "healthzBindAddress": c.HealthzBindAddress} {
		if _, err := netip.ParseAddr(value); err != nil {
			f.invalid(name, value, "must be an IP address")
		}
	}
	if (c.TLSCertFile == "") != (c.TLSPrivateKeyFile == "") {
		f.invalid("tlsPrivateKeyFile", c.TLSPrivateKeyFile, "tlsCertFile and tlsPrivateKeyFile come together")
	}
	if _, err := cliflag.TLSVersion(c.TLSMinVersion); err != nil {
		f.invalid("tlsMinVersion", c.TLSMinVersion, err.Error())
	}
	if _, err := cliflag.TLSCipherSuites(c.TLSCipherSuites); err != nil {
		f.invalid("tlsCipherSuites", c.TLSCipherSuites, err.Error())
	}
	for i, curve := range c.TLSCurvePreferences {
		if curve <= 0 || curve > 65535 {
			f.list = append(f.list, field.Invalid(field.NewPath("tlsCurvePreferences").Index(i), curve, "must be the number of a curve of TLS"))
		}
	}
	hidden := metrics.Options{MetricsConfiguration: metricsapi.MetricsConfiguration{ShowHiddenMetricsForVersion: c.ShowHiddenMetricsForVersion}}
	for _, err := range hidden.Validate() {
		f.invalid("showHiddenMetricsForVersion", c.ShowHiddenMetricsForVersion, err.Error())
	}
	oneOf(f, "authorization.mode", c.Authorization.Mode, kubeletconfig.KubeletAuthorizationModeAlwaysAllow, kubeletconfig.KubeletAuthorizationModeWebhook)
	if *c.EnableSystemLogQuery && !*c.EnableSystemLogHandler {
		f.invalid("enableSystemLogQuery", true, "needs enableSystemLogHandler")
	}
}

func validateRates(f *faults, c *kubeletconfig.KubeletConfiguration) {
	for name, value := range map[string]int32{
		"registryPullQPS": *c.RegistryPullQPS, "registryBurst": c.RegistryBurst, "eventRecordQPS": *c.EventRecordQPS, "eventBurst": c.EventBurst,
		"kubeAPIBurst": c.KubeAPIBurst, "maxPods": c.MaxPods, "podsPerCore": c.PodsPerCore, "evictionMaxPodGracePeriod": c.EvictionMaxPodGracePeriod,
	} {
		if value < 0 {
			f.invalid(name, value, "must be greater than or equal to 0")
		}
	}
	if *c.NodeStatusMaxImages < -1 {
		f.invalid("nodeStatusMaxImages", *c.NodeStatusMaxImages, "must be -1 or greater")
	}
	if c.NodeLeaseDurationSeconds <= 0 {
		f.invalid("nodeLeaseDurationSeconds", c.NodeLeaseDurationSeconds, "must be greater than 0")
	}
	if n := c.MaxParallelImagePulls; n != nil && (*n < 1 || (*c.SerializeImagePulls && *n > 1)) {
		f.invalid("maxParallelImagePulls", *n, "must be positive, and 1 with serializeImagePulls")
	}
	for name, value := range map[string]time.Duration{
		"syncFrequency": c.SyncFrequency.Duration, "fileCheckFrequency": c.FileCheckFrequency.Duration, "httpCheckFrequency": c.HTTPCheckFrequency.Duration,
		"nodeStatusUpdateFrequency": c.NodeStatusUpdateFrequency.Duration, "imageMinimumGCAge": c.ImageMinimumGCAge.Duration,
		"imageMaximumGCAge": c.ImageMaximumGCAge.Duration, "evictionPressureTransitionPeriod": c.EvictionPressureTransitionPeriod.Duration,
		"runtimeRequestTimeout": c.RuntimeRequestTimeout.Duration,
	} {
		if value < 0 {
			f.invalid(name, value.String(), "must not be negative")
		}
	}
	if high, low := *c.ImageGCHighThresholdPercent, *c.ImageGCLowThresholdPercent; high < 0 || high > 100 || low < 0 || low > 100 || low >= high {
		f.invalid("imageGCLowThresholdPercent", low, fmt.Sprintf("must be less than imageGCHighThresholdPercent (%d), both between 0 and 100", high))
	}
	if c.ImageMaximumGCAge.Duration != 0 && c.ImageMaximumGCAge.Duration <= c.ImageMinimumGCAge.Duration {
		f.invalid("imageMaximumGCAge", c.ImageMaximumGCAge.Duration.String(), "must be greater than imageMinimumGCAge")
	}
}

func validatePods(f *faults, c *kubeletconfig.KubeletConfiguration) {
	for i, dns := range c.ClusterDNS {
		if _, err := netip.ParseAddr(dns); err != nil {
			f.list = append(f.list, field.Invalid(field.NewPath("clusterDNS").Index(i), dns, "must be an IP address"))
		}
	}
	for _, p := range c.AllowedUnsafeSysctls {
		if p == "" || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			f.invalid("allowedUnsafeSysctls", p, "must be a sysctl or a pattern ending in *")
		}
	}
	if q, err := quantities.Parse(c.ContainerLogMaxSize); err != nil {
		f.invalid("containerLogMaxSize", c.ContainerLogMaxSize, err.Error())
	} else if q.Sign() == 0 {
		f.invalid("containerLogMaxSize", c.ContainerLogMaxSize, "must not be 0; a negative size means no rotation")
	}
	if *c.ContainerLogMaxFiles < 2 {
		f.invalid("containerLogMaxFiles", *c.ContainerLogMaxFiles, "must be greater than 1")
	}
	if *c.ContainerLogMaxWorkers < 1 {
		f.invalid("containerLogMaxWorkers", *c.ContainerLogMaxWorkers, "must be greater than 0")
	}
	if d := c.ContainerLogMonitorInterval.Duration; d < 3*time.Second {
		f.invalid("containerLogMonitorInterval", d.String(), "must be at least 3s")
	}
	if d := c.CrashLoopBackOff.MaxContainerRestartPeriod.Duration; d < time.Second || d > 300*time.Second {
		f.invalid("crashLoopBackOff.maxContainerRestartPeriod", d.String(), "must be between 1s and 300s")
	}
	oneOf(f, "hairpinMode", c.HairpinMode, kubeletconfig.HairpinNone, kubeletconfig.HairpinVeth, kubeletconfig.PromiscuousBridge)
	if n := *c.UserNamespaces.IDsPerPod; n < 65536 || n%65536 != 0 {
		f.invalid("userNamespaces.idsPerPod", n, "must be a multiple of 65536")
	}
	if c.PodLogsDir == "" || c.PodLogsDir[0] != '/' {
		f.invalid("podLogsDir", c.PodLogsDir, "must be an absolute path")
	}
	if c.RunOnce {
		f.invalid("runOnce", true, "is no longer supported")
	}
}

func validateResources(f *faults, c *kubeletconfig.KubeletConfiguration) {
	oneOf(f, "cgroupDriver", c.CgroupDriver, "cgroupfs", "systemd")
	// One policy each: pods share processors and memory. Others are refused, not ignored.
	oneOf(f, "cpuManagerPolicy", c.CPUManagerPolicy, "none")
	oneOf(f, "memoryManagerPolicy", c.MemoryManagerPolicy, kubeletconfig.NoneMemoryManagerPolicy)
	oneOf(f, "topologyManagerScope", c.TopologyManagerScope, kubeletconfig.ContainerTopologyManagerScope, kubeletconfig.PodTopologyManagerScope)
	oneOf(f, "topologyManagerPolicy", c.TopologyManagerPolicy, kubeletconfig.NoneTopologyManagerPolicy)
	oneOf(f, "memorySwap.swapBehavior", c.MemorySwap.SwapBehavior, "", "NoSwap", "LimitedSwap")
	if v := *c.OOMScoreAdj; v < -1000 || v > 1000 {
		f.invalid("oomScoreAdj", v, "must be between -1000 and 1000, inclusive")
	}
	if d := c.CPUCFSQuotaPeriod.Duration; d < time.Millisecond || d > time.Second {
		f.invalid("cpuCFSQuotaPeriod", d.String(), "must be between 1ms and 1s, inclusive")
	}
	validateReservedCPUs(f, c)
	if c.MaxOpenFiles < 0 {
		f.invalid("maxOpenFiles", c.MaxOpenFiles, "must be greater than or equal to 0")
	}
	for _, key := range c.EnforceNodeAllocatable {
		oneOf(f, "enforceNodeAllocatable", key, "pods", "system-reserved", "kube-reserved", "none", "")
		if key == "none" && len(c.EnforceNodeAllocatable) > 1 {
			f.invalid("enforceNodeAllocatable", key, "must stand alone")
		}
		if key == "pods" && !*c.CgroupsPerQOS {
			f.invalid("enforceNodeAllocatable", key, "needs cgroupsPerQOS")
		}
		if key == "system-reserved" && c.SystemReservedCgroup == "" {
			f.invalid("systemReservedCgroup", "", "must be set: enforceNodeAllocatable has system-reserved")
		}
		if key == "kube-reserved" && c.KubeReservedCgroup == "" {
			f.invalid("kubeReservedCgroup", "", "must be set: enforceNodeAllocatable has kube-reserved")
		}
	}
	for name, list := range map[string]map[string]string{"systemReserved": c.SystemReserved, "kubeReserved": c.KubeReserved} {
		for _, key := range sortedKeys(list) {
			path := field.NewPath(name).Key(key)
			if !slices.Contains([]string{"cpu", "memory", "ephemeral-storage", "pid"}, key) {
				f.list = append(f.list, field.NotSupported(path, key, []string{"cpu", "ephemeral-storage", "memory", "pid"}))
			} else if q, err := quantities.Parse(list[key]); err != nil {
				f.list = append(f.list, field.Invalid(path, list[key], err.Error()))
			} else if q.Sign() < 0 {
				f.list = append(f.list, field.Invalid(path, list[key], "must not be negative"))
			}
		}
	}
}

// signals are those of node-pressure eviction on Linux.
func signals() []string {
	return []string{"memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree", "containerfs.available", "containerfs.inodesFree", "allocatableMemory.available", "pid.available"}
}

// validateReservedCPUs takes reservedSystemCPUs alone, without cgroups that a number of processors would be enforced on.
func validateReservedCPUs(f *faults, c *kubeletconfig.KubeletConfiguration) {
	if c.ReservedSystemCPUs == "" {
		return
	}
	if set, err := cpuset.Parse(c.ReservedSystemCPUs); err != nil || set.IsEmpty() {
		f.invalid("reservedSystemCPUs", c.ReservedSystemCPUs, "must be a list of processors such as 0,2-3")
	}
	if c.SystemReservedCgroup != "" || c.KubeReservedCgroup != "" {
		f.invalid("reservedSystemCPUs", c.ReservedSystemCPUs, "cannot be used with systemReservedCgroup or kubeReservedCgroup")
	}
}

func validateEviction(f *faults, c *kubeletconfig.KubeletConfiguration) {
	for name, list := range map[string]map[string]string{"evictionHard": c.EvictionHard, "evictionSoft": c.EvictionSoft, "evictionMinimumReclaim": c.EvictionMinimumReclaim} {
		for _, signal := range sortedKeys(list) {
			path := field.NewPath(name).Key(signal)
			if !slices.Contains(signals(), signal) {
				f.list = append(f.list, field.NotSupported(path, signal, signals()))
				continue
			}
			if err := checkThreshold(list[signal]); err != nil {
				f.list = append(f.list, field.Invalid(path, list[signal], err.Error()))
			}
		}
	}
	for _, signal := range sortedKeys(c.EvictionSoft) {
		grace, ok := c.EvictionSoftGracePeriod[signal]
		path := field.NewPath("evictionSoftGracePeriod").Key(signal)
		if !ok {
			f.list = append(f.list, field.Required(path, "evictionSoft has this signal"))
		} else if d, err := time.ParseDuration(grace); err != nil || d < 0 {
			f.list = append(f.list, field.Invalid(path, grace, "must be a duration that is not negative"))
		}
	}
}

func checkThreshold(text string) error {
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		if p, err := strconv.ParseFloat(percent, 64); err != nil || p < 0 || p > 100 {
			return fmt.Errorf("must be between 0%% and 100%%")
		}
		return nil
	}
	q, err := quantities.Parse(text)
	if err != nil {
		return err
	}
	if q.Sign() < 0 {
		return fmt.Errorf("must not be negative")
	}
	return nil
}

// validateNodeIP takes one address, or two of different families.
func validateNodeIP(text string) []error {
	if text == "" {
		return nil
	}
	var families []bool
	for part := range strings.SplitSeq(text, ",") {
		ip, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil {
			return []error{fmt.Errorf("--node-ip: %q is no IP address", part)}
		}
		families = append(families, ip.Is4())
	}
	if len(families) > 2 || (len(families) == 2 && families[0] == families[1]) {
		return []error{fmt.Errorf("--node-ip: %q: expected one address, or two of different families", text)}
	}
	return nil
}

// validateLabels refuses labels that a node must not give itself (NodeRestriction; KEP-279).
func validateLabels(labels map[string]string) []error {
	var errs []error
	allowed := []string{
		"beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "failure-domain.beta.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os",
		"node.kubernetes.io/instance-type", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
	}
	for _, key := range sortedKeys(labels) {
		for _, fault := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(labels[key])...) {
			errs = append(errs, fmt.Errorf("--node-labels: %s=%s: %s", key, labels[key], fault))
		}
		namespace, _, found := strings.Cut(key, "/")
		if !found || slices.Contains(allowed, key) || !(within(namespace, "kubernetes.io") || within(namespace, "k8s.io")) {
			continue
		}
		if !within(namespace, "kubelet.kubernetes.io") && !within(namespace, "node.kubernetes.io") {
			errs = append(errs, fmt.Errorf("--node-labels: unknown 'kubernetes.io' or 'k8s.io' label %q: a node may give itself those of kubelet.kubernetes.io and node.kubernetes.io, and %s", key, strings.Join(allowed, ", ")))
		}
	}
	return errs
}

func within(namespace, domain string) bool {
	return namespace == domain || strings.HasSuffix(namespace, "."+domain)
}
