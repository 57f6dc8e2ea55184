package app

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/version"
	internalapi "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"k8s.io/utils/clock"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/config"
	"pilotis.dev/cmd/kubelet/credentials"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/images"
	"pilotis.dev/cmd/kubelet/node"
	"pilotis.dev/cmd/kubelet/node/machine"
	"pilotis.dev/cmd/kubelet/objects"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
	"pilotis.dev/cmd/kubelet/podcertificates"
	"pilotis.dev/cmd/kubelet/probes"
	"pilotis.dev/cmd/kubelet/resources"
	"pilotis.dev/cmd/kubelet/status"
	"pilotis.dev/cmd/kubelet/volumes"
	"pilotis.dev/cmd/kubelet/volumes/csi"
	"pilotis.dev/cmd/kubelet/volumes/plugins"
)

// daemon is everything around the pods: the API, the node, the volumes, the endpoints.
type daemon struct {
	options  *config.Options
	runtime  internalapi.RuntimeService
	images   internalapi.ImageManagerService
	access   *node.Credentials    // nil without an API server
	client   kubernetes.Interface // likewise
	events   kubernetes.Interface // with the rate limit of events
	recorder record.EventRecorder
	kubelet  *Kubelet
	node     *node.Manager
	objects  *objects.Store
	tokens   *objects.Tokens
	volumes  *volumes.Manager
	csi      *csi.Manager
	probed   metrics.KubeRegistry // of /metrics/probes
	services func(namespace string) (services []*v1.Service, known bool)
}

// Run is the kubelet with the options given, until ctx ends.
func Run(ctx context.Context, o *config.Options) error {
	d := &daemon{options: o}
	var err error
	if o.LockFile != "" {
		if ctx, err = holdLock(ctx, o.LockFile, o.ExitOnLockContention); err != nil {
			return err
		}
	}
	if err := prepareHost(ctx, o); err != nil {
		return err
	}
	// A credential that no server takes is told before the runtime is waited for.
	if err := d.reachAPI(ctx); err != nil {
		return err
	}
	if d.runtime, d.images, err = connect(ctx, o); err != nil {
		return err
	}
	stopEvents := d.recordEvents(ctx)
	defer stopEvents()
	if err := d.build(ctx); err != nil {
		return err
	}
	if err := d.divide(); err != nil {
		return fmt.Errorf("cgroups of pods: %w", err)
	}
	pressure, err := d.watchPressure()
	if err != nil {
		return err
	}
	d.kubelet.Pressure = pressure.Refuses
	var wg sync.WaitGroup
	start := func(f func(context.Context)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(ctx)
		}()
	}
	if err := d.serve(ctx, start); err != nil {
		return err
	}
	if d.access != nil {
		start(d.access.Run)
	}
	start(d.node.Run)
	start(d.volumes.Run)
	start(d.csi.Run)
	start(d.watchPlugins)
	start(d.collectImages)
	start(pressure.Run)
	start(d.kubelet.rotateLogs(d.options))
	d.kubelet.Begin(ctx)
	if err := d.watchPods(ctx, start); err != nil {
		return err
	}
	d.kubelet.Run(ctx)
	wg.Wait()
	return nil
}

// connect opens the container runtime.
func connect(ctx context.Context, o *config.Options) (internalapi.RuntimeService, internalapi.ImageManagerService, error) {
	endpoint := o.Config.ContainerRuntimeEndpoint
	timeout := o.Config.RuntimeRequestTimeout.Duration
	rt, err := cri.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(timeout).WithTracerProvider(nil).Build(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("containerRuntimeEndpoint %s: %w: is the container runtime running?", endpoint, err)
	}
	imageEndpoint := o.Config.ImageServiceEndpoint
	if imageEndpoint == "" {
		imageEndpoint = endpoint
	}
	im, err := cri.NewRemoteImageServiceBuilder().WithEndpoint(imageEndpoint).WithConnectionTimeout(timeout).WithTracerProvider(nil).Build(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("imageServiceEndpoint %s: %w", imageEndpoint, err)
	}
	return rt, im, nil
}

func (d *daemon) recordEvents(ctx context.Context) (stop func()) {
	broadcaster := record.NewBroadcaster(record.WithContext(context.WithoutCancel(ctx)))
	if d.client != nil {
		broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: d.events.CoreV1().Events("")})
	}
	broadcaster.StartStructuredLogging(3)
	d.recorder = broadcaster.NewRecorder(clientscheme.Scheme, v1.EventSource{Component: "kubelet", Host: d.options.NodeName})
	return broadcaster.Shutdown
}

// build makes the parts and ties them together.
func (d *daemon) build(ctx context.Context) error {
	o, c := d.options, &d.options.Config
	k := &Kubelet{Node: o.NodeName, RootDir: o.RootDirectory, Client: d.client, Recorder: d.recorder, Desired: desired.NewSet(d.sources()...),
		Runtime: observed.Runtime{Service: d.runtime}, Backoff: plan.NewBackoff(c.CrashLoopBackOff.MaxContainerRestartPeriod.Duration), MaxPods: int(maxPods(c)), SyncEvery: c.SyncFrequency.Duration, DeadContainers: int(o.MaxDeadContainers), MaxDeadInAll: int(o.MaxDeadInAll), MinDeadAge: o.MinDeadAge, Logs: observed.Logs{Pods: c.PodLogsDir, Links: observed.ContainerLogRoot}, UnsafeSysctls: c.AllowedUnsafeSysctls,
		Cgroups: resources.Cgroups{Root: orDefault(c.CgroupRoot, "/"), Systemd: d.systemdCgroups(ctx), Enabled: *c.CgroupsPerQOS, PidsLimit: *c.PodPidsLimit, CPUQuota: *c.CPUCFSQuota, CPUPeriod: c.CPUCFSQuotaPeriod.Microseconds()}}
	d.kubelet = k
	k.Desired.Listen(func(uid types.UID) {
		if pod := k.Desired.Get(uid); pod != nil && d.volumes != nil {
			d.volumes.PodChanged(pod)
		}
		k.Wake(uid)
	}, k.WakeAll)
	k.Status = &status.Writer{Client: d.client, Target: k.StatusTarget}

	var err error
	if d.node, err = node.New(d.nodeConfig()); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	k.HostIPs, k.NodeObject, k.Allocatable = d.node.HostIPs, d.node.Registered, d.node.Allocatable
	changed := func(uid types.UID) {
		d.volumes.Changed(uid)
		k.Wake(uid)
	}
	d.objects = objects.New(ctx, d.client, changed)
	d.tokens = objects.NewTokens(d.client, clock.RealClock{})
	volumeConfig := volumes.Config{RootDir: o.RootDirectory, NodeName: k.Node, Objects: d.objects, Tokens: d.tokens, Node: d.node.Node, Client: d.client, Recorder: d.recorder,
		View: k.View, Image: d.imageVolume, Keep: k.podsToKeep}
	refs := references{objects: d.objects, tokens: d.tokens}
	if d.client != nil {
		refs.certificates = podcertificates.New(ctx, podcertificates.Config{Client: d.client, Node: d.node.Registered, Changed: changed, Clock: clock.RealClock{}})
		volumeConfig.Certificates = refs.certificates
	}
	k.Objects = refs
	k.Images = &images.Manager{Service: d.images, Secrets: d.objects, Recorder: d.recorder, Limits: images.NewPullLimits(*c.SerializeImagePulls, c.MaxParallelImagePulls, *c.RegistryPullQPS, c.RegistryBurst)}
	if o.CredentialProviderConfig != "" {
		providers, err := credentials.Load(o.CredentialProviderConfig, o.CredentialProviderDir)
		if err != nil {
			return err
		}
		k.Images.Providers = providers.For
	}
	d.csi = csi.New(csi.Config{RootDir: o.RootDirectory, NodeName: k.Node, Client: d.client, Tokens: d.tokens, Recorder: d.recorder, Announce: d.announce()})
	volumeConfig.CSI = d.csi
	d.volumes = volumes.New(volumeConfig)
	k.Volumes = podVolumes{d.volumes}
	d.probed = metrics.NewKubeRegistry()
	k.Probes = probes.New(probes.Config{Registry: d.probed, Exec: d.execProbe, Recorder: d.recorder, OnChange: k.Wake})
	d.watchServices(ctx)
	if k.Allocations, err = resources.NewAllocations(filepath.Join(o.RootDirectory, "allocated_pods_state")); err != nil {
		return err
	}
	if k.Users, err = resources.NewUserNamespaces(filepath.Join(o.RootDirectory, "pods"), uint32(*c.UserNamespaces.IDsPerPod), int(c.MaxPods)); err != nil {
		return err
	}
	k.Actor = act.New(act.Config{
		Runtime: d.runtime, Images: k.Images, Recorder: d.recorder, Objects: d.objects, Services: d.services, RootDir: o.RootDirectory, Logs: k.Logs,
		ClusterDNS: c.ClusterDNS, ClusterDomain: c.ClusterDomain, ResolvConf: *c.ResolverConfig, HostIPs: k.HostIPs, Hostname: k.Node, Allocatable: k.Allocatable,
		CgroupParent: k.Cgroups.Parent, SeccompDefault: *c.SeccompDefault, SeccompRoot: filepath.Join(o.RootDirectory, "seccomp"),
		CPUQuota: *c.CPUCFSQuota, CPUPeriod: c.CPUCFSQuotaPeriod.Duration, UnifiedCgroups: resources.Unified(), GroupOOMKill: c.SingleProcessOOMKill == nil || !*c.SingleProcessOOMKill, Sysctls: c.DefaultPodSysctls, Users: k.Users, SubPath: d.volumes.SubPath, RuntimeHandler: d.runtimeHandler, Handlers: d.node.Handlers,
	})
	return nil
}

// announce tells the API of volumes in use before they are mounted, where there is one.
func (d *daemon) announce() func(context.Context, v1.UniqueVolumeName) error {
	if d.client == nil {
		return nil
	}
	return d.node.AwaitInUse
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// maxPods is maxPods, or less where podsPerCore says so.
func maxPods(c *kubeletconfig.KubeletConfiguration) int32 {
	info, err := machine.Host.Read()
	if c.PodsPerCore == 0 || err != nil {
		return c.MaxPods
	}
	return min(c.MaxPods, c.PodsPerCore*int32(info.CPUs)) // few
}

// systemdCgroups asks the runtime which cgroup driver it uses; one that does not say takes the configured one.
func (d *daemon) systemdCgroups(ctx context.Context) bool {
	resp, err := d.runtime.RuntimeConfig(ctx)
	if err != nil || resp.GetLinux() == nil {
		return d.options.Config.CgroupDriver == "systemd"
	}
	return resp.GetLinux().CgroupDriver.String() == "SYSTEMD"
}

func (d *daemon) nodeConfig() node.Config {
	o, c := d.options, &d.options.Config
	var ips []net.IP
	for _, text := range strings.Split(o.NodeIP, ",") {
		if ip := net.ParseIP(strings.TrimSpace(text)); ip != nil {
			ips = append(ips, ip)
		}
	}
	return node.Config{
		Name: o.NodeName, Client: d.client, Recorder: d.recorder, Runtime: d.runtime, Images: d.images, Machine: machine.Host,
		Register: *c.RegisterNode, Labels: o.NodeLabels, Taints: c.RegisterWithTaints, NodeIPs: ips, ExternalCloud: o.CloudProvider == "external", ProviderID: c.ProviderID,
		RootDir: o.RootDirectory, MaxPods: maxPods(c), Unschedulable: !o.Schedulable, Reserved: reserved(c.SystemReserved, c.KubeReserved), EvictionHard: c.EvictionHard,
		PressureSettle: c.EvictionPressureTransitionPeriod.Duration, KubeletVersion: version.Get().GitVersion, Port: c.Port, MaxImages: int(*c.NodeStatusMaxImages),
		StatusEvery: c.NodeStatusUpdateFrequency.Duration, ReportEvery: c.NodeStatusReportFrequency.Duration, LeaseDuration: time.Duration(c.NodeLeaseDurationSeconds) * time.Second,
		VolumesInUse: func() []v1.UniqueVolumeName { return d.volumes.InUse() },
		OnConnectionLost: func() {
			if d.access != nil {
				d.access.CloseConnections()
			}
		},
	}
}

// reserved adds what is kept from pods. The quantities are validated.
func reserved(lists ...map[string]string) v1.ResourceList {
	sum := v1.ResourceList{}
	for _, list := range lists {
		for name, text := range list {
			q := sum[v1.ResourceName(name)]
			q.Add(resource.MustParse(text))
			sum[v1.ResourceName(name)] = q
		}
	}
	return sum
}

func (d *daemon) sources() []string {
	var names []string
	if d.options.Config.StaticPodPath != "" {
		names = append(names, desired.File)
	}
	if d.options.Config.StaticPodURL != "" {
		names = append(names, desired.HTTP)
	}
	if d.client != nil {
		names = append(names, desired.API)
	}
	return names
}

// watchPods starts the sources.
func (d *daemon) watchPods(ctx context.Context, start func(func(context.Context))) error {
	c := &d.options.Config
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		return err
	}
	if err := defaulting.Register(scheme); err != nil {
		return err
	}
	static := desired.Static{Node: d.kubelet.Node, Scheme: scheme}
	if c.StaticPodPath != "" {
		start(func(ctx context.Context) {
			static.WatchFiles(ctx, c.StaticPodPath, c.FileCheckFrequency.Duration, d.kubelet.Desired)
		})
	}
	if c.StaticPodURL != "" {
		start(func(ctx context.Context) {
			static.WatchURL(ctx, c.StaticPodURL, c.StaticPodURLHeader, c.HTTPCheckFrequency.Duration, d.kubelet.Desired)
		})
	}
	if d.client == nil {
		return nil
	}
	start(d.awaitNode)
	return desired.WatchAPI(ctx, d.client, d.kubelet.Node, d.kubelet.Desired)
}

// awaitNode wakes everybody when the API knows the node: static pods get their mirrors then, and others are admitted.
func (d *daemon) awaitNode(ctx context.Context) {
	const pause = 200 * time.Millisecond
	for d.node.Registered() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	d.kubelet.WakeAll()
}

// divide gives pods, and as far as enforceNodeAllocatable says the system's and Kubernetes' daemons, their parts of the
// machine.
func (d *daemon) divide() error {
	c := &d.options.Config
	var pods v1.ResourceList
	for _, key := range c.EnforceNodeAllocatable {
		var err error
		switch key {
		case "pods":
			own, nodeErr := d.node.Node()
			if nodeErr != nil {
				return nodeErr
			}
			pods = without(own.Status.Capacity, reserved(c.SystemReserved, c.KubeReserved))
		case "system-reserved":
			err = d.kubelet.Cgroups.Reserve(c.SystemReservedCgroup, reserved(c.SystemReserved))
		case "kube-reserved":
			err = d.kubelet.Cgroups.Reserve(c.KubeReservedCgroup, reserved(c.KubeReserved))
		}
		if err != nil {
			return err
		}
	}
	return d.kubelet.Cgroups.Setup(pods)
}

// without is the CPU and memory of all without part.
func without(all, part v1.ResourceList) v1.ResourceList {
	out := v1.ResourceList{}
	for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
		q := all[name].DeepCopy()
		q.Sub(part[name])
		out[name] = q
	}
	return out
}

// watchServices keeps the Services that containers' variables come from.
func (d *daemon) watchServices(ctx context.Context) {
	if d.client == nil {
		d.services = func(string) ([]*v1.Service, bool) { return nil, true }
		return
	}
	factory := informers.NewSharedInformerFactory(d.client, 0)
	lister, synced := factory.Core().V1().Services().Lister(), factory.Core().V1().Services().Informer().HasSynced
	factory.Start(ctx.Done())
	d.services = func(namespace string) ([]*v1.Service, bool) {
		own, _ := lister.Services(namespace).List(labels.Everything())
		if api, err := lister.Services(v1.NamespaceDefault).Get("kubernetes"); err == nil && namespace != v1.NamespaceDefault {
			own = append(own, api)
		}
		return own, synced()
	}
}

// execProbe runs a command in a container: its output and exit code, or an error when it could not be run.
func (d *daemon) execProbe(ctx context.Context, id string, cmd []string, timeout time.Duration) ([]byte, int, error) {
	out, errOut, err := d.runtime.ExecSync(ctx, bareID(id), cmd, timeout)
	out = append(out, errOut...)
	var exit interface{ ExitStatus() int }
	if err != nil && asExit(err, &exit) {
		return out, exit.ExitStatus(), nil
	}
	return out, 0, err
}

func bareID(id string) string {
	if _, bare, ok := strings.Cut(id, "://"); ok {
		return bare
	}
	return id
}

// runtimeHandler looks the class up at the API: it is rarely used, and may have changed.
func (d *daemon) runtimeHandler(ctx context.Context, class string) (string, error) {
	if d.client == nil {
		return "", fmt.Errorf("spec.runtimeClassName: RuntimeClass %q cannot be looked up: there is no API server", class)
	}
	found, err := d.client.NodeV1().RuntimeClasses().Get(ctx, class, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("spec.runtimeClassName: %w", err)
	}
	return found.Handler, nil
}

// imageVolume brings an image volume's image to the node.
func (d *daemon) imageVolume(ctx context.Context, pod *v1.Pod, v *v1.Volume) (string, error) {
	image, err := d.kubelet.Images.Ensure(ctx, pod, &v1.Container{Name: v.Name, Image: v.Image.Reference, ImagePullPolicy: v.Image.PullPolicy}, nil)
	return image.Ref, err
}

// collectImages removes images when the disk fills.
func (d *daemon) collectImages(ctx context.Context) {
	c := &d.options.Config
	d.kubelet.Images.Collect(ctx, images.Limits{High: *c.ImageGCHighThresholdPercent, Low: *c.ImageGCLowThresholdPercent, MinAge: c.ImageMinimumGCAge.Duration, MaxAge: c.ImageMaximumGCAge.Duration}, d.kubelet.imagesInUse, d.imageDisk)
}

// watchPlugins registers the CSI drivers of this node.
func (d *daemon) watchPlugins(ctx context.Context) {
	dir := filepath.Join(d.options.RootDirectory, "plugins_registry")
	if err := plugins.New(dir, map[string]plugins.Handler{registration.CSIPlugin: d.csi}).Run(ctx); err != nil {
		klog.FromContext(ctx).Error(err, "Plugins of this node cannot be found", "path", dir)
	}
}
