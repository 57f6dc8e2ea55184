package app

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/config/options"
)

type workerFlag struct {
	flag, what string
	value      *int32
}

// workers lists the --concurrent-* flags.
func (c *Config) workers() []workerFlag {
	return []workerFlag{
		{"concurrent-deployment-syncs", "deployment objects", &c.DeploymentController.ConcurrentDeploymentSyncs},
		{"concurrent-replicaset-syncs", "replica sets", &c.ReplicaSetController.ConcurrentRSSyncs},
		{"concurrent-rc-syncs", "replication controllers", &c.ReplicationController.ConcurrentRCSyncs},
		{"concurrent-statefulset-syncs", "stateful sets", &c.StatefulSetController.ConcurrentStatefulSetSyncs},
		{"concurrent-daemonset-syncs", "daemon sets", &c.DaemonSetController.ConcurrentDaemonSetSyncs},
		{"concurrent-job-syncs", "jobs", &c.JobController.ConcurrentJobSyncs},
		{"concurrent-cron-job-syncs", "cron jobs", &c.CronJobController.ConcurrentCronJobSyncs},
		{"concurrent-disruption-syncs", "pod disruption budgets", &c.DisruptionController.ConcurrentDisruptionSyncs},
		{"concurrent-ttl-after-finished-syncs", "finished jobs", &c.TTLAfterFinishedController.ConcurrentTTLSyncs},
		{"concurrent-horizontal-pod-autoscaler-syncs", "horizontal pod autoscalers", &c.HPAController.ConcurrentHorizontalPodAutoscalerSyncs},
		{"concurrent-endpoint-syncs", "endpoints", &c.EndpointController.ConcurrentEndpointSyncs},
		{"concurrent-service-endpoint-syncs", "services for endpoint slices", &c.EndpointSliceController.ConcurrentServiceEndpointSyncs},
		{"mirroring-concurrent-service-endpoint-syncs", "endpoints for mirrored endpoint slices", &c.EndpointSliceMirroringController.MirroringConcurrentServiceEndpointSyncs},
		{"concurrent-gc-syncs", "garbage collector items", &c.GarbageCollectorController.ConcurrentGCSyncs},
		{"concurrent-namespace-syncs", "namespaces", &c.NamespaceController.ConcurrentNamespaceSyncs},
		{"concurrent-resource-quota-syncs", "resource quotas", &c.ResourceQuotaController.ConcurrentResourceQuotaSyncs},
		{"concurrent-serviceaccount-token-syncs", "service account tokens", &c.SAController.ConcurrentSATokenSyncs},
		{"concurrent-ephemeralvolume-syncs", "ephemeral volumes", &c.EphemeralVolumeController.ConcurrentEphemeralVolumeSyncs},
		{"concurrent-validating-admission-policy-status-syncs", "validating admission policies", &c.ValidatingAdmissionPolicyStatusController.ConcurrentPolicySyncs},
		{"concurrent-resource-claim-syncs", "resource claims", &c.ResourceClaimController.ConcurrentSyncs},
		{"concurrent-device-taint-eviction-syncs", "pods under device taints", &c.DeviceTaintEvictionController.ConcurrentSyncs},
	}
}

// AddFlags binds the flags to c.
func (c *Config) AddFlags(fss *cliflag.NamedFlagSets, table []Row) {
	c.Serving.AddFlags(fss)
	c.Metrics.AddFlags(fss.FlagSet("metrics"))
	c.Features.AddFlags(fss.FlagSet("generic"))
	c.addGenericFlags(fss.FlagSet("generic"), table)
	workers := fss.FlagSet("workers")
	for _, w := range c.workers() {
		workers.Int32Var(w.value, w.flag, *w.value, fmt.Sprintf("Number of %s that are reconciled in parallel.", w.what))
	}
	c.addCloudFlags(fss.FlagSet("cluster"))
	c.addSigningFlags(fss.FlagSet("certificate signing"))
	c.addNodeFlags(fss.FlagSet("nodes"))
	c.addAutoscalingFlags(fss.FlagSet("horizontal pod autoscaling"))
	c.addObjectFlags(fss.FlagSet("objects"))
	c.addVolumeFlags(fss.FlagSet("volumes"))
	addFormerFlags(fss.FlagSet("former"))
}

// addFormerFlags lets scripts go on that set what upstream's kube-controller-manager still takes and nothing reads any
// more, here or there. Such a flag is told to be without effect when it is set, and is not in the help.
func addFormerFlags(fs *pflag.FlagSet) {
	for name, why := range map[string]string{
		"cloud-config":                 "cloud providers run in the cloud-controller-manager, which takes it",
		"configure-cloud-routes":       "routes are set by the cloud-controller-manager, which takes it",
		"external-cloud-volume-plugin": "volumes of clouds are those of CSI drivers",
		"route-reconciliation-period":  "routes are set by the cloud-controller-manager, which takes it",
		"concurrent-service-syncs":     "load balancers are set up by the cloud-controller-manager, which takes it",
		"flex-volume-plugin-dir":       "controllers attach volumes by CSI alone",
		"leader-migration-config":      "there are no controllers of clouds here to migrate",
	} {
		fs.String(name, "", "")
		_ = fs.MarkDeprecated(name, "it has no effect: "+why) // fails only for an unknown name
	}
	for name, why := range map[string]string{
		"enable-leader-migration":     "there are no controllers of clouds here to migrate",
		"enable-hostpath-provisioner": "volumes on a node are those of the class kubernetes.io/no-provisioner or of CSI drivers",
	} {
		fs.Bool(name, false, "")
		_ = fs.MarkDeprecated(name, "it has no effect: "+why)
	}
}

func (c *Config) addGenericFlags(fs *pflag.FlagSet, table []Row) {
	fs.StringVar(&c.Master, "master", c.Master, "Address of the API server; overrides the one in the kubeconfig.")
	conn := &c.Generic.ClientConnection
	fs.StringVar(&conn.Kubeconfig, "kubeconfig", conn.Kubeconfig, "Path of the kubeconfig with the address and credentials of the API server.")
	fs.StringVar(&conn.ContentType, "kube-api-content-type", conn.ContentType, "Content type of requests to the API server.")
	fs.Float32Var(&conn.QPS, "kube-api-qps", conn.QPS, "Requests a second that one controller may send; negative: as many as the API server's priority and fairness lets in.")
	fs.Int32Var(&conn.Burst, "kube-api-burst", conn.Burst, "Burst over --kube-api-qps.")
	fs.DurationVar(&c.Generic.MinResyncPeriod.Duration, "min-resync-period", c.Generic.MinResyncPeriod.Duration, "Informers hand out unchanged objects again after a random time between this and its double.")
	fs.DurationVar(&c.Generic.ControllerStartInterval.Duration, "controller-start-interval", c.Generic.ControllerStartInterval.Duration, "Pause between the starts of two controllers.")
	fs.StringSliceVar(&c.Generic.Controllers, "controllers", c.Generic.Controllers, fmt.Sprintf(
		"Controllers to run: '*' stands for all that are on by default, 'foo' turns the controller foo on, '-foo' turns it off; the first item for a controller wins.\nAll controllers: %s\nOff by default: %s",
		strings.Join(Names(table), ", "), strings.Join(offByDefault(table), ", ")))
	options.BindLeaderElectionFlags(&c.LeaderElection, fs)
	fs.BoolVar(c.Generic.Debugging.EnableContentionProfiling, "contention-profiling", false, "Profile lock contention, if profiling is on.")
}

func (c *Config) addCloudFlags(fs *pflag.FlagSet) {
	k := &c.KubeCloudShared
	fs.StringVar(&k.CloudProvider.Name, "cloud-provider", k.CloudProvider.Name, "\"external\" when a cloud-controller-manager runs, or empty.")
	fs.BoolVar(&k.UseServiceAccountCredentials, "use-service-account-credentials", k.UseServiceAccountCredentials, "Let each controller act with the credentials of its own service account.")
	fs.StringVar(&k.ClusterName, "cluster-name", k.ClusterName, "Name of the cluster. Static pod manifests set it; only the cloud-controller-manager names things after it.")
	fs.StringVar(&k.ClusterCIDR, "cluster-cidr", k.ClusterCIDR, "Address ranges of pods, at most one of each IP family, comma separated.")
	fs.BoolVar(&k.AllocateNodeCIDRs, "allocate-node-cidrs", k.AllocateNodeCIDRs, "Give each node a pod range out of --cluster-cidr.")
	fs.StringVar(&k.CIDRAllocatorType, "cidr-allocator-type", k.CIDRAllocatorType, "Who allocates node ranges: RangeAllocator, or CloudAllocator for the cloud-controller-manager.")
	n := &c.NodeIPAMController
	fs.StringVar(&n.ServiceCIDR, "service-cluster-ip-range", n.ServiceCIDR, "Address ranges of Services; node ranges do not overlap them. Needs --allocate-node-cidrs.")
	fs.Int32Var(&n.NodeCIDRMaskSize, "node-cidr-mask-size", n.NodeCIDRMaskSize, "Prefix length of a node's range in a single-stack cluster (24 for IPv4, 64 for IPv6 when 0).")
	fs.Int32Var(&n.NodeCIDRMaskSizeIPv4, "node-cidr-mask-size-ipv4", n.NodeCIDRMaskSizeIPv4, "Prefix length of a node's IPv4 range in a dual-stack cluster (24 when 0).")
	fs.Int32Var(&n.NodeCIDRMaskSizeIPv6, "node-cidr-mask-size-ipv6", n.NodeCIDRMaskSizeIPv6, "Prefix length of a node's IPv6 range in a dual-stack cluster (64 when 0).")
	sa := &c.SAController
	fs.StringVar(&sa.RootCAFile, "root-ca-file", sa.RootCAFile, "PEM file with the API server's root CA, for service account tokens and the kube-root-ca.crt ConfigMaps.")
	fs.StringVar(&sa.ServiceAccountKeyFile, "service-account-private-key-file", sa.ServiceAccountKeyFile, "PEM file with the private key that signs service account token Secrets.")
	fs.DurationVar(&c.LegacySATokenCleaner.CleanUpPeriod.Duration, "legacy-service-account-token-clean-up-period", c.LegacySATokenCleaner.CleanUpPeriod.Duration, "Age of the last use after which an auto-generated service account token Secret is removed.")
}

func (c *Config) addSigningFlags(fs *pflag.FlagSet) {
	s := &c.CSRSigningController
	pair := func(name, what string, cert, key *string) {
		fs.StringVar(cert, name+"-cert-file", *cert, "PEM file with the CA certificate "+what+".")
		fs.StringVar(key, name+"-key-file", *key, "PEM file with the key of the CA "+what+".")
	}
	pair("cluster-signing", "for all built-in signers", &s.ClusterSigningCertFile, &s.ClusterSigningKeyFile)
	pair("cluster-signing-kubelet-serving", "of the signer kubernetes.io/kubelet-serving", &s.KubeletServingSignerConfiguration.CertFile, &s.KubeletServingSignerConfiguration.KeyFile)
	pair("cluster-signing-kubelet-client", "of the signer kubernetes.io/kube-apiserver-client-kubelet", &s.KubeletClientSignerConfiguration.CertFile, &s.KubeletClientSignerConfiguration.KeyFile)
	pair("cluster-signing-kube-apiserver-client", "of the signer kubernetes.io/kube-apiserver-client", &s.KubeAPIServerClientSignerConfiguration.CertFile, &s.KubeAPIServerClientSignerConfiguration.KeyFile)
	pair("cluster-signing-legacy-unknown", "of the signer kubernetes.io/legacy-unknown", &s.LegacyUnknownSignerConfiguration.CertFile, &s.LegacyUnknownSignerConfiguration.KeyFile)
	fs.DurationVar(&s.ClusterSigningDuration.Duration, "cluster-signing-duration", s.ClusterSigningDuration.Duration, "Longest validity of a signed certificate; a request may ask for less.")
}

func (c *Config) addNodeFlags(fs *pflag.FlagSet) {
	n := &c.NodeLifecycleController
	fs.DurationVar(&n.NodeMonitorPeriod.Duration, "node-monitor-period", n.NodeMonitorPeriod.Duration, "How often a node that is not ready is looked at, and the shortest time between two looks at one for which nothing happened.")
	fs.DurationVar(&n.NodeMonitorGracePeriod.Duration, "node-monitor-grace-period", n.NodeMonitorGracePeriod.Duration, "Silence of a running node after which it counts as unhealthy.")
	fs.DurationVar(&n.NodeStartupGracePeriod.Duration, "node-startup-grace-period", n.NodeStartupGracePeriod.Duration, "Silence of a starting node after which it counts as unhealthy.")
	fs.Float32Var(&n.NodeEvictionRate, "node-eviction-rate", n.NodeEvictionRate, "Nodes a second whose pods are evicted in a healthy zone.")
	fs.Float32Var(&n.SecondaryNodeEvictionRate, "secondary-node-eviction-rate", n.SecondaryNodeEvictionRate, "Nodes a second whose pods are evicted in an unhealthy zone; 0 in a cluster smaller than --large-cluster-size-threshold.")
	fs.Int32Var(&n.LargeClusterSizeThreshold, "large-cluster-size-threshold", n.LargeClusterSizeThreshold, "Number of nodes from which a cluster counts as large for eviction.")
	fs.Float32Var(&n.UnhealthyZoneThreshold, "unhealthy-zone-threshold", n.UnhealthyZoneThreshold, "Share of nodes not ready (at least 3) from which a zone counts as unhealthy.")
	fs.Int32Var(&c.PodGCController.TerminatedPodGCThreshold, "terminated-pod-gc-threshold", c.PodGCController.TerminatedPodGCThreshold, "Number of finished pods that are kept; 0 or less keeps all.")
}

func (c *Config) addAutoscalingFlags(fs *pflag.FlagSet) {
	h := &c.HPAController
	const prefix = "horizontal-pod-autoscaler-"
	fs.DurationVar(&h.HorizontalPodAutoscalerSyncPeriod.Duration, prefix+"sync-period", h.HorizontalPodAutoscalerSyncPeriod.Duration, "How often an autoscaler looks at its metrics.")
	fs.DurationVar(&h.HorizontalPodAutoscalerDownscaleStabilizationWindow.Duration, prefix+"downscale-stabilization", h.HorizontalPodAutoscalerDownscaleStabilizationWindow.Duration, "Window whose highest recommendation is used when scaling down.")
	fs.Float64Var(&h.HorizontalPodAutoscalerTolerance, prefix+"tolerance", h.HorizontalPodAutoscalerTolerance, "Deviation of a metric from its target that is ignored.")
	fs.DurationVar(&h.HorizontalPodAutoscalerCPUInitializationPeriod.Duration, prefix+"cpu-initialization-period", h.HorizontalPodAutoscalerCPUInitializationPeriod.Duration, "Time after a pod's start in which its CPU samples may be skipped.")
	fs.DurationVar(&h.HorizontalPodAutoscalerInitialReadinessDelay.Duration, prefix+"initial-readiness-delay", h.HorizontalPodAutoscalerInitialReadinessDelay.Duration, "Time after a pod's start in which a change of readiness counts as initial readiness.")
}

func (c *Config) addObjectFlags(fs *pflag.FlagSet) {
	fs.BoolVar(c.GarbageCollectorController.EnableGarbageCollector, "enable-garbage-collector", *c.GarbageCollectorController.EnableGarbageCollector, "Collect dependents of deleted objects; must equal the flag of kube-apiserver.")
	fs.DurationVar(&c.NamespaceController.NamespaceSyncPeriod.Duration, "namespace-sync-period", c.NamespaceController.NamespaceSyncPeriod.Duration, "Longest time after which a namespace that is being deleted and still has content is looked at again.")
	fs.DurationVar(&c.ResourceQuotaController.ResourceQuotaSyncPeriod.Duration, "resource-quota-sync-period", c.ResourceQuotaController.ResourceQuotaSyncPeriod.Duration, "How often the use of quotas is counted anew.")
	fs.DurationVar(&c.EndpointController.EndpointUpdatesBatchPeriod.Duration, "endpoint-updates-batch-period", c.EndpointController.EndpointUpdatesBatchPeriod.Duration, "Delay in which changes of pods are collected into one update of Endpoints.")
	fs.DurationVar(&c.EndpointSliceController.EndpointUpdatesBatchPeriod.Duration, "endpointslice-updates-batch-period", c.EndpointSliceController.EndpointUpdatesBatchPeriod.Duration, "Delay in which changes of pods are collected into one update of EndpointSlices.")
	fs.Int32Var(&c.EndpointSliceController.MaxEndpointsPerSlice, "max-endpoints-per-slice", c.EndpointSliceController.MaxEndpointsPerSlice, "Endpoints in one EndpointSlice at most.")
	m := &c.EndpointSliceMirroringController
	fs.DurationVar(&m.MirroringEndpointUpdatesBatchPeriod.Duration, "mirroring-endpointslice-updates-batch-period", m.MirroringEndpointUpdatesBatchPeriod.Duration, "Delay in which changes of Endpoints are collected into one update of mirrored EndpointSlices.")
	fs.Int32Var(&m.MirroringMaxEndpointsPerSubset, "mirroring-max-endpoints-per-subset", m.MirroringMaxEndpointsPerSubset, "Endpoints of one subset that are mirrored at most.")
}

func (c *Config) addVolumeFlags(fs *pflag.FlagSet) {
	v := &c.PersistentVolumeBinderController
	fs.DurationVar(&v.PVClaimBinderSyncPeriod.Duration, "pvclaimbinder-sync-period", v.PVClaimBinderSyncPeriod.Duration, "How often volumes and claims are matched anew.")
	a := &c.AttachDetachController
	fs.DurationVar(&a.ReconcilerSyncLoopPeriod.Duration, "attach-detach-reconcile-sync-period", a.ReconcilerSyncLoopPeriod.Duration, "How often the volumes attached to a node are compared with those its pods need, besides at each change.")
	fs.BoolVar(&a.DisableAttachDetachReconcilerSync, "disable-attach-detach-reconcile-sync", a.DisableAttachDetachReconcilerSync, "Compare attached volumes at changes alone.")
	fs.BoolVar(&a.DisableForceDetachOnTimeout, "disable-force-detach-on-timeout", a.DisableForceDetachOnTimeout, "Never take a volume from a node that says it is in use, even when the node has been unhealthy for six minutes; the taint node.kubernetes.io/out-of-service still does.")
	fs.BoolVar(v.VolumeConfiguration.EnableDynamicProvisioning, "enable-dynamic-provisioning", *v.VolumeConfiguration.EnableDynamicProvisioning, "Ask provisioners for volumes where a StorageClass names one.")
}
