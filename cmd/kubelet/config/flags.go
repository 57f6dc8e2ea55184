package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// deprecation is what a flag says that stands for a field of the configuration file.
const deprecation = "set it in the file of --config instead."

// bind adds the flags that stand for fields of c, which must have its defaults.
func bind(all *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	bindPods(fs, c)
	bindServer(fs, c)
	bindAPI(fs, c)
	bindImages(fs, c)
	bindResources(fs, c)
	bindEviction(fs, c)
	bindRefused(fs, c)
	bindIdle(fs, c)
	fs.VisitAll(func(f *pflag.Flag) {
		f.Deprecated = deprecation
	})
	// These are not deprecated: they differ from node to node.
	for _, name := range []string{"container-runtime-endpoint", "image-service-endpoint"} {
		fs.Lookup(name).Deprecated = ""
	}
	all.AddFlagSet(fs)
}

func bindPods(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.StringVar(&c.ContainerRuntimeEndpoint, "container-runtime-endpoint", c.ContainerRuntimeEndpoint, "Socket of the container runtime, as unix:///path.")
	fs.StringVar(&c.ImageServiceEndpoint, "image-service-endpoint", c.ImageServiceEndpoint, "Socket of the image service. Default: that of the container runtime.")
	fs.DurationVar(&c.RuntimeRequestTimeout.Duration, "runtime-request-timeout", c.RuntimeRequestTimeout.Duration, "How long the container runtime may take for all but long requests.")
	fs.StringVar(&c.StaticPodPath, "pod-manifest-path", c.StaticPodPath, "Folder or file of static pod manifests.")
	fs.DurationVar(&c.FileCheckFrequency.Duration, "file-check-frequency", c.FileCheckFrequency.Duration, "How often static pod files are read although no change was seen.")
	fs.StringVar(&c.StaticPodURL, "manifest-url", c.StaticPodURL, "URL of static pod manifests.")
	fs.Var(cliflag.NewColonSeparatedMultimapStringString(&c.StaticPodURLHeader), "manifest-url-header", "Headers for --manifest-url, as name:value, comma separated.")
	fs.DurationVar(&c.HTTPCheckFrequency.Duration, "http-check-frequency", c.HTTPCheckFrequency.Duration, "How often --manifest-url is read.")
	fs.DurationVar(&c.SyncFrequency.Duration, "sync-frequency", c.SyncFrequency.Duration, "How often a pod is looked at although nothing happened.")
	fs.Int32Var(&c.MaxPods, "max-pods", c.MaxPods, "Number of pods that this node runs.")
	fs.Int32Var(&c.PodsPerCore, "pods-per-core", c.PodsPerCore, "Number of pods a processor, at most --max-pods together; 0: no limit of its own.")
	fs.Int64Var(c.PodPidsLimit, "pod-max-pids", *c.PodPidsLimit, "Number of processes of a pod; -1: no limit.")
	fs.StringVar(c.ResolverConfig, "resolv-conf", *c.ResolverConfig, "The host's resolver configuration, for pods; empty: none.")
	fs.StringVar(&c.ClusterDomain, "cluster-domain", c.ClusterDomain, "Domain of the cluster's DNS names.")
	fs.StringSliceVar(&c.ClusterDNS, "cluster-dns", c.ClusterDNS, "Addresses of the cluster's DNS servers.")
	fs.StringSliceVar(&c.AllowedUnsafeSysctls, "allowed-unsafe-sysctls", c.AllowedUnsafeSysctls, "Sysctls, or patterns ending in *, that pods may set besides the safe ones.")
	fs.BoolVar(c.SeccompDefault, "seccomp-default", *c.SeccompDefault, "Use RuntimeDefault as the seccomp profile of containers that name none.")
	fs.StringVar(&c.ContainerLogMaxSize, "container-log-max-size", c.ContainerLogMaxSize, "Size at which a container's log is rotated.")
	fs.Int32Var(c.ContainerLogMaxFiles, "container-log-max-files", *c.ContainerLogMaxFiles, "Number of a container's log files; at least 2.")
}

func bindServer(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.BoolVar(c.EnableServer, "enable-server", *c.EnableServer, "Serve the kubelet's API.")
	fs.StringVar(&c.Address, "address", c.Address, "Address of the kubelet's API.")
	fs.Int32Var(&c.Port, "port", c.Port, "Port of the kubelet's API.")
	fs.Int32Var(&c.ReadOnlyPort, "read-only-port", c.ReadOnlyPort, "Port without authentication for reading; 0: none.")
	fs.Int32Var(c.HealthzPort, "healthz-port", *c.HealthzPort, "Port of /healthz; 0: none.")
	fs.StringVar(&c.HealthzBindAddress, "healthz-bind-address", c.HealthzBindAddress, "Address of --healthz-port.")
	fs.StringVar(&c.TLSCertFile, "tls-cert-file", c.TLSCertFile, "Certificate of the kubelet's API.")
	fs.StringVar(&c.TLSPrivateKeyFile, "tls-private-key-file", c.TLSPrivateKeyFile, "Key of --tls-cert-file.")
	fs.StringSliceVar(&c.TLSCipherSuites, "tls-cipher-suites", c.TLSCipherSuites, "Cipher suites of the kubelet's API. Values: "+strings.Join(cliflag.TLSCipherPossibleValues(), ", ")+".")
	fs.StringVar(&c.TLSMinVersion, "tls-min-version", c.TLSMinVersion, "Least TLS version of the kubelet's API. Values: "+strings.Join(cliflag.TLSPossibleVersions(), ", ")+".")
	fs.BoolVar(&c.ServerTLSBootstrap, "rotate-server-certificates", c.ServerTLSBootstrap, "Ask the API server for the serving certificate, and renew it.")
	fs.BoolVar(c.Authentication.Anonymous.Enabled, "anonymous-auth", *c.Authentication.Anonymous.Enabled, "Let requests without credentials be those of system:anonymous.")
	fs.BoolVar(c.Authentication.Webhook.Enabled, "authentication-token-webhook", *c.Authentication.Webhook.Enabled, "Ask the API server whose a bearer token is.")
	fs.DurationVar(&c.Authentication.Webhook.CacheTTL.Duration, "authentication-token-webhook-cache-ttl", c.Authentication.Webhook.CacheTTL.Duration, "How long its answers are kept.")
	fs.StringVar(&c.Authentication.X509.ClientCAFile, "client-ca-file", c.Authentication.X509.ClientCAFile, "CA that client certificates of the kubelet's API are checked with.")
	fs.StringVar((*string)(&c.Authorization.Mode), "authorization-mode", string(c.Authorization.Mode), "Webhook asks the API server who may do what, AlwaysAllow nobody.")
	fs.DurationVar(&c.Authorization.Webhook.CacheAuthorizedTTL.Duration, "authorization-webhook-cache-authorized-ttl", c.Authorization.Webhook.CacheAuthorizedTTL.Duration, "How long a yes is kept.")
	fs.DurationVar(&c.Authorization.Webhook.CacheUnauthorizedTTL.Duration, "authorization-webhook-cache-unauthorized-ttl", c.Authorization.Webhook.CacheUnauthorizedTTL.Duration, "How long a no is kept.")
	fs.BoolVar(c.EnableDebuggingHandlers, "enable-debugging-handlers", *c.EnableDebuggingHandlers, "Serve logs, exec, attach, port-forward and profiles.")
	fs.StringVar(&c.ShowHiddenMetricsForVersion, "show-hidden-metrics-for-version", c.ShowHiddenMetricsForVersion, "Show metrics too that were hidden since this version, which is the minor version before, such as 1.36.")
	fs.BoolVar(&c.EnableContentionProfiling, "contention-profiling", c.EnableContentionProfiling, "Profile lock contention.")
	fs.DurationVar(&c.StreamingConnectionIdleTimeout.Duration, "streaming-connection-idle-timeout", c.StreamingConnectionIdleTimeout.Duration, "How long exec, attach and port-forward may be silent.")
	fs.DurationVar(&c.VolumeStatsAggPeriod.Duration, "volume-stats-agg-period", c.VolumeStatsAggPeriod.Duration, "How often the disk use of volumes is measured.")
}

func bindAPI(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.BoolVar(&c.RotateCertificates, "rotate-certificates", c.RotateCertificates, "Renew the client certificate before it expires.")
	fs.StringVar(&c.ContentType, "kube-api-content-type", c.ContentType, "Encoding of requests to the API server.")
	fs.Int32Var(c.KubeAPIQPS, "kube-api-qps", *c.KubeAPIQPS, "Requests a second to the API server.")
	fs.Int32Var(&c.KubeAPIBurst, "kube-api-burst", c.KubeAPIBurst, "Requests to the API server at once.")
	fs.Int32Var(c.EventRecordQPS, "event-qps", *c.EventRecordQPS, "Events a second; 0: no limit.")
	fs.Int32Var(&c.EventBurst, "event-burst", c.EventBurst, "Events at once.")
	fs.BoolVar(c.RegisterNode, "register-node", *c.RegisterNode, "Register the node with the API server.")
	fs.DurationVar(&c.NodeStatusUpdateFrequency.Duration, "node-status-update-frequency", c.NodeStatusUpdateFrequency.Duration, "How often the node's status is computed.")
	fs.Int32Var(c.NodeStatusMaxImages, "node-status-max-images", *c.NodeStatusMaxImages, "Number of images that the node's status lists; -1: all.")
	fs.StringVar(&c.ProviderID, "provider-id", c.ProviderID, "Name of this machine at its cloud.")
	fs.BoolVar(c.EnableControllerAttachDetach, "enable-controller-attach-detach", *c.EnableControllerAttachDetach, "Leave attaching of volumes to the controller manager.")
	fs.Var(cliflag.NewMapStringBool(&c.FeatureGates), "feature-gates", "Features to switch on or off, as name=true or name=false.")
}

func bindImages(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.BoolVar(c.SerializeImagePulls, "serialize-image-pulls", *c.SerializeImagePulls, "Pull one image at a time.")
	fs.Int32Var(c.RegistryPullQPS, "registry-qps", *c.RegistryPullQPS, "Image pulls a second; 0: no limit.")
	fs.Int32Var(&c.RegistryBurst, "registry-burst", c.RegistryBurst, "Image pulls at once.")
	fs.DurationVar(&c.ImageMinimumGCAge.Duration, "minimum-image-ttl-duration", c.ImageMinimumGCAge.Duration, "Age at which an unused image may be removed.")
	fs.Int32Var(c.ImageGCHighThresholdPercent, "image-gc-high-threshold", *c.ImageGCHighThresholdPercent, "Disk use, in per cent, at which unused images are removed.")
	fs.Int32Var(c.ImageGCLowThresholdPercent, "image-gc-low-threshold", *c.ImageGCLowThresholdPercent, "Disk use, in per cent, down to which unused images are removed.")
}

func bindResources(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.StringVar(&c.CgroupDriver, "cgroup-driver", c.CgroupDriver, "cgroupfs or systemd, where the runtime does not say.")
	fs.StringVar(&c.CgroupRoot, "cgroup-root", c.CgroupRoot, "Cgroup below which the pods' are; default: the root.")
	fs.BoolVar(c.CgroupsPerQOS, "cgroups-per-qos", *c.CgroupsPerQOS, "Keep a cgroup for each QoS class and pod.")
	fs.StringVar(&c.KubeletCgroups, "kubelet-cgroups", c.KubeletCgroups, "Cgroup that the kubelet puts itself into.")
	fs.StringSliceVar(&c.EnforceNodeAllocatable, "enforce-node-allocatable", c.EnforceNodeAllocatable, "Limits to enforce: pods, system-reserved, kube-reserved, none.")
	fs.Var(cliflag.NewMapStringString(&c.SystemReserved), "system-reserved", "Resources kept for the system, as name=quantity.")
	fs.Var(cliflag.NewMapStringString(&c.KubeReserved), "kube-reserved", "Resources kept for Kubernetes' daemons, as name=quantity.")
	fs.StringVar(&c.SystemReservedCgroup, "system-reserved-cgroup", c.SystemReservedCgroup, "Cgroup that system-reserved is enforced on.")
	fs.StringVar(&c.KubeReservedCgroup, "kube-reserved-cgroup", c.KubeReservedCgroup, "Cgroup that kube-reserved is enforced on.")
	fs.BoolVar(c.CPUCFSQuota, "cpu-cfs-quota", *c.CPUCFSQuota, "Enforce CPU limits.")
	fs.DurationVar(&c.CPUCFSQuotaPeriod.Duration, "cpu-cfs-quota-period", c.CPUCFSQuotaPeriod.Duration, "Period of CPU limits, 1ms to 1s.")
	fs.Int32Var(c.OOMScoreAdj, "oom-score-adj", *c.OOMScoreAdj, "The kubelet's own oom_score_adj, -1000 to 1000.")
	fs.BoolVar(c.FailSwapOn, "fail-swap-on", *c.FailSwapOn, "Refuse to start on a machine that swaps.")
	fs.BoolVar(&c.ProtectKernelDefaults, "protect-kernel-defaults", c.ProtectKernelDefaults, "Fail, instead of setting them, when kernel parameters are not as expected.")
	fs.BoolVar(c.LocalStorageCapacityIsolation, "local-storage-capacity-isolation", *c.LocalStorageCapacityIsolation, "Count pods' use of ephemeral storage and enforce its limits.")
	fs.Int64Var(&c.MaxOpenFiles, "max-open-files", c.MaxOpenFiles, "Number of files that the kubelet may open.")
	fs.StringVar(&c.ReservedSystemCPUs, "reserved-cpus", c.ReservedSystemCPUs, "Processors kept for the system, as 0,2-3: their number stands for cpu of --system-reserved and --kube-reserved.")
	fs.StringVar(&c.CPUManagerPolicy, "cpu-manager-policy", c.CPUManagerPolicy, "none: containers share all processors.")
	fs.StringVar(&c.MemoryManagerPolicy, "memory-manager-policy", c.MemoryManagerPolicy, "None: containers use the memory of all NUMA nodes.")
	fs.StringVar(&c.TopologyManagerPolicy, "topology-manager-policy", c.TopologyManagerPolicy, "none: containers are not aligned to NUMA nodes.")
}

func bindEviction(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.Var(thresholds{&c.EvictionHard, "<"}, "eviction-hard", "Thresholds at which pods are ended at once, as signal<quantity.")
	fs.Var(thresholds{&c.EvictionSoft, "<"}, "eviction-soft", "Thresholds at which pods are ended after a grace period, as signal<quantity.")
	fs.Var(thresholds{&c.EvictionSoftGracePeriod, "="}, "eviction-soft-grace-period", "Grace periods of --eviction-soft, as signal=duration.")
	fs.DurationVar(&c.EvictionPressureTransitionPeriod.Duration, "eviction-pressure-transition-period", c.EvictionPressureTransitionPeriod.Duration, "How long a pressure is reported after it ended.")
	fs.Int32Var(&c.EvictionMaxPodGracePeriod, "eviction-max-pod-grace-period", c.EvictionMaxPodGracePeriod, "Most seconds a pod gets to end at a soft threshold.")
	fs.Var(thresholds{&c.EvictionMinimumReclaim, "="}, "eviction-minimum-reclaim", "What an eviction frees at least, as signal=quantity.")
}

// bindRefused are flags of what this kubelet has not: any value but the default stops it with a line that says why.
func bindRefused(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.Var(cliflag.NewMapStringStringNoSplit(&c.CPUManagerPolicyOptions), "cpu-manager-policy-options", "Options of --cpu-manager-policy; none has any.")
	fs.Var(cliflag.NewMapStringStringNoSplit(&c.TopologyManagerPolicyOptions), "topology-manager-policy-options", "Options of --topology-manager-policy; none has any.")
	fs.Var(cliflag.NewMapStringString(&c.QOSReserved), "qos-reserved", "Memory kept for pods of a QoS class: not supported, must be empty.")
	fs.BoolVar(&c.KernelMemcgNotification, "kernel-memcg-notification", c.KernelMemcgNotification, "Let the kernel tell of crossed memory thresholds: not supported, must be false.")
	fs.StringVar(&c.SystemCgroups, "system-cgroups", c.SystemCgroups, "Cgroup to move processes without one into: not supported, must be empty.")
	fs.StringVar(&c.VolumePluginDir, "volume-plugin-dir", c.VolumePluginDir, "Folder of FlexVolume drivers: they are not supported, the folder must hold none.")
}

// bindIdle are flags that have no effect upstream either where the container runtime sets up the network and the policies of
// processors are none.
func bindIdle(fs *pflag.FlagSet, c *kubeletconfig.KubeletConfiguration) {
	fs.StringVar(&c.HairpinMode, "hairpin-mode", c.HairpinMode, "Without effect: the container runtime sets up the network.")
	fs.StringVar(&c.PodCIDR, "pod-cidr", c.PodCIDR, "Without effect: the container runtime's network has its own configuration.")
	fs.BoolVar(c.MakeIPTablesUtilChains, "make-iptables-util-chains", *c.MakeIPTablesUtilChains, "Without effect: the kubelet writes no packet rules.")
	fs.Int32Var(c.IPTablesMasqueradeBit, "iptables-masquerade-bit", *c.IPTablesMasqueradeBit, "Without effect: the kubelet writes no packet rules.")
	fs.Int32Var(c.IPTablesDropBit, "iptables-drop-bit", *c.IPTablesDropBit, "Without effect: the kubelet writes no packet rules.")
	fs.DurationVar(&c.CPUManagerReconcilePeriod.Duration, "cpu-manager-reconcile-period", c.CPUManagerReconcilePeriod.Duration, "Without effect with --cpu-manager-policy=none.")
	fs.StringVar(&c.TopologyManagerScope, "topology-manager-scope", c.TopologyManagerScope, "container or pod; without effect with --topology-manager-policy=none.")
}

// thresholds is a map given as signal<quantity or signal=quantity, comma separated. Giving the flag replaces the
// defaults.
type thresholds struct {
	values    *map[string]string
	separator string
}

func (t thresholds) Type() string { return "mapStringString" }

func (t thresholds) String() string {
	if t.values == nil {
		return ""
	}
	var parts []string
	for _, k := range sortedKeys(*t.values) {
		parts = append(parts, k+t.separator+(*t.values)[k])
	}
	return strings.Join(parts, ",")
}

func (t thresholds) Set(s string) error {
	values := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		signal, value, ok := strings.Cut(part, t.separator)
		if !ok {
			return fmt.Errorf("%q: expected signal%svalue", part, t.separator)
		}
		values[strings.TrimSpace(signal)] = strings.TrimSpace(value)
	}
	*t.values = values
	return nil
}
