package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/component-base/metrics"
	cmconfig "k8s.io/controller-manager/config/v1alpha1"
	kcmconfig "k8s.io/kube-controller-manager/config/v1alpha1"
	"k8s.io/utils/ptr"

	"pilotis.dev/pkg/daemon"
)

// Config holds every setting of the daemon. The controllers' settings live in the published configuration kind, which is also
// what /configz shows.
type Config struct {
	kcmconfig.KubeControllerManagerConfiguration

	// Master overrides the server of the kubeconfig.
	Master string
	// LeaderElection of this daemon.
	LeaderElection componentbaseconfig.LeaderElectionConfiguration
	Serving        *daemon.ServingOptions
	Metrics        *metrics.Options
	Features       *daemon.Features
}

func seconds(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }

// NewConfig returns the defaults, which are upstream's except for --kube-api-qps: the API server's priority and fairness paces
// the controllers, so they do not throttle themselves.
func NewConfig() *Config {
	c := &Config{Serving: daemon.NewServingOptions(10257), Metrics: metrics.NewOptions(), Features: daemon.NewFeatures()}
	c.TypeMeta = metav1.TypeMeta{APIVersion: kcmconfig.SchemeGroupVersion.String(), Kind: "KubeControllerManagerConfiguration"}
	cmconfig.RecommendedDefaultGenericControllerManagerConfiguration(&c.Generic)
	c.Generic.ClientConnection.QPS, c.Generic.ClientConnection.Burst = -1, 0
	c.LeaderElection = componentbaseconfig.LeaderElectionConfiguration{
		LeaderElect: true, LeaseDuration: seconds(15), RenewDeadline: seconds(10), RetryPeriod: seconds(2),
		ResourceLock: "leases", ResourceNamespace: "kube-system", ResourceName: "kube-controller-manager",
	}
	c.Generic.Debugging.EnableContentionProfiling = ptr.To(false)
	c.KubeCloudShared.ClusterName = "kubernetes"
	c.KubeCloudShared.CIDRAllocatorType = "RangeAllocator"
	c.KubeCloudShared.ConfigureCloudRoutes = ptr.To(true)
	c.CSRSigningController.ClusterSigningDuration = metav1.Duration{Duration: 365 * 24 * time.Hour}
	c.DaemonSetController.ConcurrentDaemonSetSyncs = 2
	c.DeploymentController.ConcurrentDeploymentSyncs = 5
	c.DisruptionController.ConcurrentDisruptionSyncs = 1
	c.StatefulSetController.ConcurrentStatefulSetSyncs = 5
	c.ReplicaSetController.ConcurrentRSSyncs = 5
	c.ReplicationController.ConcurrentRCSyncs = 5
	c.JobController.ConcurrentJobSyncs = 5
	c.CronJobController.ConcurrentCronJobSyncs = 5
	c.TTLAfterFinishedController.ConcurrentTTLSyncs = 5
	c.HPAController = kcmconfig.HPAControllerConfiguration{
		ConcurrentHorizontalPodAutoscalerSyncs:              5,
		HorizontalPodAutoscalerSyncPeriod:                   seconds(15),
		HorizontalPodAutoscalerDownscaleStabilizationWindow: seconds(300),
		HorizontalPodAutoscalerTolerance:                    0.1,
		HorizontalPodAutoscalerCPUInitializationPeriod:      seconds(300),
		HorizontalPodAutoscalerInitialReadinessDelay:        seconds(30),
	}
	c.EndpointController.ConcurrentEndpointSyncs = 5
	c.EndpointSliceController.ConcurrentServiceEndpointSyncs = 5
	c.EndpointSliceController.MaxEndpointsPerSlice = 100
	c.EndpointSliceMirroringController.MirroringConcurrentServiceEndpointSyncs = 5
	c.EndpointSliceMirroringController.MirroringMaxEndpointsPerSubset = 1000
	c.EphemeralVolumeController.ConcurrentEphemeralVolumeSyncs = 5
	c.GarbageCollectorController.EnableGarbageCollector = ptr.To(true)
	c.GarbageCollectorController.ConcurrentGCSyncs = 20
	c.LegacySATokenCleaner.CleanUpPeriod = metav1.Duration{Duration: 365 * 24 * time.Hour}
	c.NamespaceController.NamespaceSyncPeriod = seconds(300)
	c.NamespaceController.ConcurrentNamespaceSyncs = 10
	c.NodeLifecycleController = kcmconfig.NodeLifecycleControllerConfiguration{
		NodeEvictionRate: 0.1, SecondaryNodeEvictionRate: 0.01, NodeStartupGracePeriod: seconds(60),
		NodeMonitorGracePeriod: seconds(50), PodEvictionTimeout: seconds(300), NodeMonitorPeriod: seconds(5),
		LargeClusterSizeThreshold: 50, UnhealthyZoneThreshold: 0.55,
	}
	c.AttachDetachController.ReconcilerSyncLoopPeriod = seconds(60)
	c.PersistentVolumeBinderController.PVClaimBinderSyncPeriod = seconds(15)
	c.PersistentVolumeBinderController.VolumeConfiguration.EnableDynamicProvisioning = ptr.To(true)
	c.PodGCController.TerminatedPodGCThreshold = 12500
	c.ResourceQuotaController.ResourceQuotaSyncPeriod = seconds(300)
	c.ResourceQuotaController.ConcurrentResourceQuotaSyncs = 5
	c.SAController.ConcurrentSATokenSyncs = 5
	c.ValidatingAdmissionPolicyStatusController.ConcurrentPolicySyncs = 5
	c.ResourceClaimController.ConcurrentSyncs = 50
	c.DeviceTaintEvictionController.ConcurrentSyncs = 8
	return c
}

// Validate returns all faults of the configuration.
func (c *Config) Validate(table []Row) error {
	var errs []error
	if err := c.Features.Complete(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.Serving.Validate()...)
	errs = append(errs, c.Metrics.Validate()...)
	if _, err := Select(table, c.Generic.Controllers); err != nil {
		errs = append(errs, err)
	}
	if c.LeaderElection.LeaderElect && c.LeaderElection.ResourceLock != "leases" {
		errs = append(errs, fmt.Errorf("--leader-elect-resource-lock=%s: only \"leases\" is supported", c.LeaderElection.ResourceLock))
	}
	if p := c.KubeCloudShared.CloudProvider.Name; p != "" && p != "external" {
		errs = append(errs, fmt.Errorf("--cloud-provider=%s: only \"external\" is supported; cloud loops run in the cloud-controller-manager", p))
	}
	errs = append(errs, c.validateCIDRs()...)
	errs = append(errs, c.validateSigners()...)
	errs = append(errs, readable("--root-ca-file", c.SAController.RootCAFile), readable("--service-account-private-key-file", c.SAController.ServiceAccountKeyFile))
	if n := c.EndpointSliceController.MaxEndpointsPerSlice; n < 1 || n > 1000 {
		errs = append(errs, fmt.Errorf("--max-endpoints-per-slice=%d: must be between 1 and 1000", n))
	}
	if p := c.LegacySATokenCleaner.CleanUpPeriod.Duration; p <= 0 {
		errs = append(errs, fmt.Errorf("--legacy-service-account-token-clean-up-period=%s: must be more than 0", p))
	}
	if d := c.AttachDetachController.ReconcilerSyncLoopPeriod.Duration; d < time.Second {
		errs = append(errs, fmt.Errorf("--attach-detach-reconcile-sync-period=%v: must be at least 1s; --disable-attach-detach-reconcile-sync switches it off", d))
	}
	if d := c.PersistentVolumeBinderController.PVClaimBinderSyncPeriod.Duration; d <= 0 {
		errs = append(errs, fmt.Errorf("--pvclaimbinder-sync-period=%v: must be positive", d))
	}
	if n := c.EndpointSliceMirroringController.MirroringMaxEndpointsPerSubset; n < 1 || n > 1000 {
		errs = append(errs, fmt.Errorf("--mirroring-max-endpoints-per-subset=%d: must be between 1 and 1000", n))
	}
	if c.HPAController.HorizontalPodAutoscalerTolerance < 0 {
		errs = append(errs, fmt.Errorf("--horizontal-pod-autoscaler-tolerance=%v: must not be negative", c.HPAController.HorizontalPodAutoscalerTolerance))
	}
	for _, w := range c.workers() {
		if *w.value < 1 {
			errs = append(errs, fmt.Errorf("--%s=%d: must be at least 1", w.flag, *w.value))
		}
	}
	return utilerrors.NewAggregate(errs)
}

func (c *Config) validateCIDRs() []error {
	var errs []error
	cidrs := func(flag, value string) {
		if value == "" {
			return
		}
		parts := strings.Split(value, ",")
		if len(parts) > 2 {
			errs = append(errs, fmt.Errorf("%s=%s: at most one range of each IP family", flag, value))
			return
		}
		families := map[bool]bool{}
		for _, part := range parts {
			ip, _, err := net.ParseCIDR(strings.TrimSpace(part))
			if err != nil {
				errs = append(errs, fmt.Errorf("%s=%s: %w", flag, value, err))
				return
			}
			if v4 := ip.To4() != nil; families[v4] {
				errs = append(errs, fmt.Errorf("%s=%s: two ranges of the same IP family", flag, value))
			} else {
				families[v4] = true
			}
		}
	}
	cidrs("--cluster-cidr", c.KubeCloudShared.ClusterCIDR)
	cidrs("--service-cluster-ip-range", c.NodeIPAMController.ServiceCIDR)
	if c.KubeCloudShared.AllocateNodeCIDRs && c.KubeCloudShared.ClusterCIDR == "" {
		errs = append(errs, errors.New("--allocate-node-cidrs=true needs --cluster-cidr"))
	}
	return errs
}

func (c *Config) validateSigners() []error {
	var errs []error
	s := c.CSRSigningController
	for _, pair := range []struct {
		flags string
		files kcmconfig.CSRSigningConfiguration
	}{
		{"cluster-signing", kcmconfig.CSRSigningConfiguration{CertFile: s.ClusterSigningCertFile, KeyFile: s.ClusterSigningKeyFile}},
		{"cluster-signing-kubelet-serving", s.KubeletServingSignerConfiguration},
		{"cluster-signing-kubelet-client", s.KubeletClientSignerConfiguration},
		{"cluster-signing-kube-apiserver-client", s.KubeAPIServerClientSignerConfiguration},
		{"cluster-signing-legacy-unknown", s.LegacyUnknownSignerConfiguration},
	} {
		if (pair.files.CertFile == "") != (pair.files.KeyFile == "") {
			errs = append(errs, fmt.Errorf("--%s-cert-file and --%s-key-file belong together: give both or none", pair.flags, pair.flags))
			continue
		}
		if pair.flags != "cluster-signing" && pair.files.CertFile != "" && s.ClusterSigningCertFile != "" {
			errs = append(errs, fmt.Errorf("--%s-cert-file cannot be combined with --cluster-signing-cert-file, which is for all signers", pair.flags))
		}
		errs = append(errs, readable("--"+pair.flags+"-cert-file", pair.files.CertFile), readable("--"+pair.flags+"-key-file", pair.files.KeyFile))
	}
	return errs
}

// readable names the flag when the file it gives cannot be opened.
func readable(flag, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return f.Close()
}
