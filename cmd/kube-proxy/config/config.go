// Package config is kube-proxy's configuration: the file KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)
// and the flags that override it, with defaults and validation.
package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeproxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"pilotis.dev/pkg/daemon"
)

const (
	apiVersion = "kubeproxy.config.k8s.io/v1alpha1"
	kind       = "KubeProxyConfiguration"

	modeNFTables          = "nftables"
	defaultHealthzPort    = 10256
	defaultMetricsAddress = "127.0.0.1:10249"
)

// What makes traffic a pod's (detectLocalMode).
const (
	LocalModeClusterCIDR         = "ClusterCIDR"
	LocalModeNodeCIDR            = "NodeCIDR"
	LocalModeBridgeInterface     = "BridgeInterface"
	LocalModeInterfaceNamePrefix = "InterfaceNamePrefix"
)

// Options are the flags, and the configuration that they and the file make together.
type Options struct {
	File   string
	Master string
	// Cleanup removes the rules and ends the process.
	Cleanup bool
	// InitOnly sets what needs a privileged process and ends it.
	InitOnly bool
	// WriteConfigTo names a file to write the configuration in force to, instead of running.
	WriteConfigTo string
	Config        kubeproxyconfig.KubeProxyConfiguration
	Features      *daemon.Features

	flags *cliflag.NamedFlagSets
}

// available are gates of features that this proxy always has.
var available = []featuregate.Feature{"NFTablesProxyMode", "PreferSameTrafficDistribution", "ServiceTrafficDistribution", "TopologyAwareHints"}

// NewOptions has upstream's defaults, but that nftables is the mode.
func NewOptions() *Options {
	o := &Options{Features: daemon.NewFeatures(available...)}
	setDefaults(&o.Config)
	return o
}

func setDefaults(c *kubeproxyconfig.KubeProxyConfiguration) {
	c.APIVersion, c.Kind = apiVersion, kind
	c.BindAddress = "0.0.0.0"
	c.HealthzBindAddress = fmt.Sprintf("0.0.0.0:%d", defaultHealthzPort)
	c.MetricsBindAddress = defaultMetricsAddress
	c.Mode = modeNFTables
	c.DetectLocalMode = LocalModeClusterCIDR
	c.ConfigSyncPeriod = metav1.Duration{Duration: 15 * time.Minute}
	c.NFTables.SyncPeriod = metav1.Duration{Duration: 30 * time.Second}
	c.NFTables.MasqueradeBit = ptr.To[int32](14)
	c.OOMScoreAdj = ptr.To[int32](-999)
	c.IPTables = kubeproxyconfig.KubeProxyIPTablesConfiguration{MasqueradeBit: ptr.To[int32](14), LocalhostNodePorts: ptr.To(true),
		SyncPeriod: metav1.Duration{Duration: 30 * time.Second}, MinSyncPeriod: metav1.Duration{Duration: time.Second}}
	c.IPVS.SyncPeriod = metav1.Duration{Duration: 30 * time.Second}
	c.ClientConnection.QPS, c.ClientConnection.Burst = 5, 10
	c.ClientConnection.ContentType = "application/vnd.kubernetes.protobuf"
	c.Conntrack.MaxPerCore = ptr.To[int32](32 * 1024)
	c.Conntrack.Min = ptr.To[int32](128 * 1024)
	c.Conntrack.TCPEstablishedTimeout = &metav1.Duration{Duration: 24 * time.Hour}
	c.Conntrack.TCPCloseWaitTimeout = &metav1.Duration{Duration: time.Hour}
	logsapi.SetRecommendedLoggingConfiguration(&c.Logging)
}

// Flags are the command line. Flags override the file.
func (o *Options) Flags() *cliflag.NamedFlagSets {
	o.flags = &cliflag.NamedFlagSets{}
	c := &o.Config
	fs := o.flags.FlagSet("kube-proxy")
	fs.StringVar(&o.File, "config", o.File, "Path of a KubeProxyConfiguration file ("+apiVersion+"). Flags override what it says.")
	fs.StringVar(&c.ClientConnection.Kubeconfig, "kubeconfig", "", "Kubeconfig file; without it the pod's service account is used.")
	fs.StringVar(&o.Master, "master", "", "Address of the API server; overrides the kubeconfig's.")
	fs.StringVar(&c.HostnameOverride, "hostname-override", "", "Name of this node's Node object. Default: the host's name.")
	fs.Var((*modeValue)(&c.Mode), "proxy-mode", "How packets to Services are redirected: nftables.")
	fs.StringVar(&c.BindAddress, "bind-address", c.BindAddress, "The node's address when the Node object has none; its family is the primary one.")
	fs.BoolVar(&o.Cleanup, "cleanup", false, "Remove kube-proxy's rules and exit.")
	fs.BoolVar(&o.InitOnly, "init-only", false, "Set what needs a privileged process, that is connection tracking, and exit: for an init container, with --hostname-override of the proxy proper.")
	fs.StringVar(&o.WriteConfigTo, "write-config-to", "", "Write the configuration in force to this file and exit.")
	fs.Int32Var(c.OOMScoreAdj, "oom-score-adj", *c.OOMScoreAdj, "kube-proxy's own oom_score_adj, -1000 to 1000.")
	fs.Var(cliflag.NewMapStringBool(&c.FeatureGates), "feature-gates", "Features to switch on or off, as name=true or name=false:\n"+strings.Join(o.Features.Gate.KnownFeatures(), "\n"))

	fs = o.flags.FlagSet("endpoints")
	fs.StringVar(&c.HealthzBindAddress, "healthz-bind-address", c.HealthzBindAddress, "Address and port of /healthz and /livez; empty serves none.")
	fs.StringVar(&c.MetricsBindAddress, "metrics-bind-address", c.MetricsBindAddress, "Address and port of /metrics, /configz and /proxyMode; empty serves none.")
	fs.BoolVar(&c.BindAddressHardFail, "bind-address-hard-fail", false, "Exit when one of these ports is occupied, instead of going on without.")
	fs.StringVar(&c.ShowHiddenMetricsForVersion, "show-hidden-metrics-for-version", "", "Show metrics too that were hidden since this version, which is the minor version before, such as 1.36.")
	fs.BoolVar(&c.EnableProfiling, "profiling", false, "Serve profiles under /debug/pprof/ of the metrics address.")

	fs = o.flags.FlagSet("traffic")
	fs.StringVar(&c.ClusterCIDR, "cluster-cidr", "", "CIDRs of the pods, comma separated. Packets to cluster IPs from elsewhere are masqueraded.")
	fs.Var((*localModeValue)(&c.DetectLocalMode), "detect-local-mode", "What makes traffic a pod's: ClusterCIDR (--cluster-cidr), NodeCIDR (the Node's spec.podCIDRs), BridgeInterface (--pod-bridge-interface) or InterfaceNamePrefix (--pod-interface-name-prefix).")
	fs.StringVar(&c.DetectLocal.BridgeInterface, "pod-bridge-interface", "", "Bridge that pods' packets come in by, for --detect-local-mode=BridgeInterface.")
	fs.StringVar(&c.DetectLocal.InterfaceNamePrefix, "pod-interface-name-prefix", "", "How the names of interfaces begin that pods' packets come in by, for --detect-local-mode=InterfaceNamePrefix.")
	fs.BoolVar(&c.NFTables.MasqueradeAll, "masquerade-all", false, "Masquerade all packets to cluster IPs.")
	fs.StringSliceVar(&c.NodePortAddresses, "nodeport-addresses", nil, "CIDRs of the addresses that node ports answer on, \"primary\" or \"all\". Default: primary.")
	fs.DurationVar(&c.NFTables.SyncPeriod.Duration, "nftables-sync-period", c.NFTables.SyncPeriod.Duration, "How often the rules are applied again after a failure.")
	fs.DurationVar(&c.NFTables.MinSyncPeriod.Duration, "nftables-min-sync-period", c.NFTables.MinSyncPeriod.Duration, "Least time between two changes of the rules. Changes are incremental: 0 applies each at once.")

	fs = o.flags.FlagSet("client")
	fs.Float32Var(&c.ClientConnection.QPS, "kube-api-qps", c.ClientConnection.QPS, "Requests a second to the API server.")
	fs.Int32Var(&c.ClientConnection.Burst, "kube-api-burst", c.ClientConnection.Burst, "Requests to the API server above the rate, for a moment.")
	fs.StringVar(&c.ClientConnection.ContentType, "kube-api-content-type", c.ClientConnection.ContentType, "Encoding of requests to the API server.")
	fs.DurationVar(&c.ConfigSyncPeriod.Duration, "config-sync-period", c.ConfigSyncPeriod.Duration, "How often everything is compared anew, as a safety net.")

	fs = o.flags.FlagSet("conntrack")
	fs.Int32Var(c.Conntrack.MaxPerCore, "conntrack-max-per-core", *c.Conntrack.MaxPerCore, "Connections to track for each processor; 0 leaves the kernel's limit.")
	fs.Int32Var(c.Conntrack.Min, "conntrack-min", *c.Conntrack.Min, "Least number of connections to track, whatever --conntrack-max-per-core says.")
	fs.DurationVar(&c.Conntrack.TCPEstablishedTimeout.Duration, "conntrack-tcp-timeout-established", c.Conntrack.TCPEstablishedTimeout.Duration, "Idle time after which an established TCP connection is forgotten; 0 leaves the kernel's.")
	fs.DurationVar(&c.Conntrack.TCPCloseWaitTimeout.Duration, "conntrack-tcp-timeout-close-wait", c.Conntrack.TCPCloseWaitTimeout.Duration, "Time after which a TCP connection in CLOSE_WAIT is forgotten; 0 leaves the kernel's.")
	fs.BoolVar(&c.Conntrack.TCPBeLiberal, "conntrack-tcp-be-liberal", false, "Do not take packets outside the TCP window for invalid.")
	fs.DurationVar(&c.Conntrack.UDPTimeout.Duration, "conntrack-udp-timeout", 0, "Idle time after which a UDP flow without answers is forgotten; 0 leaves the kernel's.")
	fs.DurationVar(&c.Conntrack.UDPStreamTimeout.Duration, "conntrack-udp-timeout-stream", 0, "Idle time after which a UDP flow with answers is forgotten; 0 leaves the kernel's.")
	o.otherModes(o.flags.FlagSet("other modes"))
	return o.flags
}

// otherModes are flags that mean something in the modes iptables and ipvs alone. Scripts that give them start kube-proxy all the
// same, as they do upstream in mode nftables.
func (o *Options) otherModes(fs *pflag.FlagSet) {
	const unused = " Without effect in mode nftables."
	t, v := &o.Config.IPTables, &o.Config.IPVS
	fs.BoolVar(t.LocalhostNodePorts, "iptables-localhost-nodeports", *t.LocalhostNodePorts, "Node ports on loopback."+unused)
	fs.Int32Var(t.MasqueradeBit, "iptables-masquerade-bit", *t.MasqueradeBit, "Mark of packets to masquerade."+unused)
	fs.DurationVar(&t.SyncPeriod.Duration, "iptables-sync-period", t.SyncPeriod.Duration, "How often rules are written anew."+unused)
	fs.DurationVar(&t.MinSyncPeriod.Duration, "iptables-min-sync-period", t.MinSyncPeriod.Duration, "Least time between two writes."+unused)
	fs.DurationVar(&v.SyncPeriod.Duration, "ipvs-sync-period", v.SyncPeriod.Duration, "How often rules are written anew."+unused)
	fs.DurationVar(&v.MinSyncPeriod.Duration, "ipvs-min-sync-period", v.MinSyncPeriod.Duration, "Least time between two writes."+unused)
	fs.StringVar(&v.Scheduler, "ipvs-scheduler", "", "Scheduler."+unused)
	fs.StringSliceVar(&v.ExcludeCIDRs, "ipvs-exclude-cidrs", nil, "Virtual servers to leave alone."+unused)
	fs.BoolVar(&v.StrictARP, "ipvs-strict-arp", false, "Answer ARP on the address's own interface alone."+unused)
	fs.DurationVar(&v.TCPTimeout.Duration, "ipvs-tcp-timeout", 0, "Idle time of connections."+unused)
	fs.DurationVar(&v.TCPFinTimeout.Duration, "ipvs-tcpfin-timeout", 0, "Time after a FIN."+unused)
	fs.DurationVar(&v.UDPTimeout.Duration, "ipvs-udp-timeout", 0, "Idle time of UDP flows."+unused)
}

// Complete reads the file, lets the flags given override it, and validates.
func (o *Options) Complete() error {
	if o.File != "" {
		given := o.givenFlags()
		data, err := os.ReadFile(o.File)
		if err != nil {
			return fmt.Errorf("--config: %w", err)
		}
		if err := o.decode(data); err != nil {
			return fmt.Errorf("--config %s: %w", o.File, err)
		}
		for _, f := range given {
			if err := f.set(f.value); err != nil {
				return fmt.Errorf("--%s: %w", f.name, err)
			}
		}
	}
	if o.Config.HostnameOverride == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--hostname-override is missing and the host's name is unknown: %w", err)
		}
		o.Config.HostnameOverride = name
	}
	o.Config.HostnameOverride = strings.ToLower(strings.TrimSpace(o.Config.HostnameOverride))
	if err := o.Features.Gate.SetFromMap(o.Config.FeatureGates); err != nil {
		return fmt.Errorf("featureGates: %w", err)
	}
	if err := validate(&o.Config).ToAggregate(); err != nil || o.WriteConfigTo == "" {
		return err
	}
	data, err := yaml.Marshal(&o.Config)
	if err != nil {
		return err
	}
	return os.WriteFile(o.WriteConfigTo, data, 0o644)
}

// PodInterface names the interface that pods' packets come in by, with * for a prefix; empty: --detect-local-mode goes by addresses.
func (o *Options) PodInterface() string {
	switch o.Config.DetectLocalMode {
	case LocalModeBridgeInterface:
		return o.Config.DetectLocal.BridgeInterface
	case LocalModeInterfaceNamePrefix:
		return o.Config.DetectLocal.InterfaceNamePrefix + "*"
	}
	return ""
}

type givenFlag struct {
	name, value string
	set         func(string) error
}

func (o *Options) givenFlags() []givenFlag {
	var given []givenFlag
	for _, fs := range o.flags.FlagSets {
		for _, f := range visited(fs) {
			set := f.Value.Set
			if list, ok := f.Value.(pflag.SliceValue); ok { // Set would add to what the file says
				set = func(v string) error { return list.Replace(strings.Split(v, ",")) }
			}
			given = append(given, givenFlag{f.Name, strings.Trim(f.Value.String(), "[]"), set})
		}
	}
	return given
}

// decode reads the file over the defaults; a field that is empty keeps its default.
func (o *Options) decode(data []byte) error {
	var c kubeproxyconfig.KubeProxyConfiguration
	setDefaults(&c)
	before := c.DeepCopy()
	c.APIVersion, c.Kind = "", ""
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "error unmarshaling JSON: while decoding JSON: json: "))
	}
	if c.APIVersion != apiVersion || c.Kind != kind {
		return fmt.Errorf("it holds %q of %q: expected kind %s of apiVersion %s", c.Kind, c.APIVersion, kind, apiVersion)
	}
	keepDefaults(&c, before)
	// The flags hold the addresses of what these point to: they keep their places and take the values.
	old := &o.Config
	keepPlace(&c.Conntrack.MaxPerCore, old.Conntrack.MaxPerCore)
	keepPlace(&c.Conntrack.Min, old.Conntrack.Min)
	keepPlace(&c.Conntrack.TCPEstablishedTimeout, old.Conntrack.TCPEstablishedTimeout)
	keepPlace(&c.Conntrack.TCPCloseWaitTimeout, old.Conntrack.TCPCloseWaitTimeout)
	keepPlace(&c.OOMScoreAdj, old.OOMScoreAdj)
	keepPlace(&c.IPTables.LocalhostNodePorts, old.IPTables.LocalhostNodePorts)
	keepPlace(&c.IPTables.MasqueradeBit, old.IPTables.MasqueradeBit)
	o.Config = c
	return nil
}

func keepPlace[T any](have **T, place *T) {
	*place = **have
	*have = place
}

// keepDefaults restores what kubeadm and people write as empty to mean "the default".
func keepDefaults(c, d *kubeproxyconfig.KubeProxyConfiguration) {
	if c.Mode == "" {
		c.Mode = d.Mode
	}
	if c.DetectLocalMode == "" {
		c.DetectLocalMode = d.DetectLocalMode
	}
	if c.BindAddress == "" {
		c.BindAddress = d.BindAddress
	}
	if c.ConfigSyncPeriod.Duration == 0 {
		c.ConfigSyncPeriod = d.ConfigSyncPeriod
	}
	if c.NFTables.SyncPeriod.Duration == 0 {
		c.NFTables.SyncPeriod = d.NFTables.SyncPeriod
	}
	if c.NFTables.MasqueradeBit == nil {
		c.NFTables.MasqueradeBit = d.NFTables.MasqueradeBit
	}
	if c.HealthzBindAddress == "" {
		c.HealthzBindAddress = d.HealthzBindAddress
	}
	if c.MetricsBindAddress == "" {
		c.MetricsBindAddress = d.MetricsBindAddress
	}
	if c.ClientConnection.QPS == 0 {
		c.ClientConnection.QPS = d.ClientConnection.QPS
	}
	if c.ClientConnection.Burst == 0 {
		c.ClientConnection.Burst = d.ClientConnection.Burst
	}
	if c.ClientConnection.ContentType == "" {
		c.ClientConnection.ContentType = d.ClientConnection.ContentType
	}
	inherit(&c.Conntrack.MaxPerCore, d.Conntrack.MaxPerCore)
	inherit(&c.Conntrack.Min, d.Conntrack.Min)
	inherit(&c.Conntrack.TCPEstablishedTimeout, d.Conntrack.TCPEstablishedTimeout)
	inherit(&c.Conntrack.TCPCloseWaitTimeout, d.Conntrack.TCPCloseWaitTimeout)
	inherit(&c.OOMScoreAdj, d.OOMScoreAdj)
	inherit(&c.IPTables.LocalhostNodePorts, d.IPTables.LocalhostNodePorts)
	inherit(&c.IPTables.MasqueradeBit, d.IPTables.MasqueradeBit)
}

func inherit[T any](p **T, value *T) {
	if *p == nil {
		*p = value
	}
}

// ClientConnection is the client's configuration in the form that package daemon takes.
func (o *Options) ClientConnection() componentbaseconfig.ClientConnectionConfiguration {
	c := o.Config.ClientConnection
	return componentbaseconfig.ClientConnectionConfiguration{Kubeconfig: c.Kubeconfig, AcceptContentTypes: c.AcceptContentTypes,
		ContentType: c.ContentType, QPS: c.QPS, Burst: c.Burst}
}
