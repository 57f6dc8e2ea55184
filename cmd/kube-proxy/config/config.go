// Package config is kube-proxy's configuration: the file KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)
// and the flags that override it, with defaults and validation.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeproxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

const (
	apiVersion = "kubeproxy.config.k8s.io/v1alpha1"
	kind       = "KubeProxyConfiguration"

	modeNFTables          = "nftables"
	localModeClusterCIDR  = "ClusterCIDR"
	localModeNodeCIDR     = "NodeCIDR"
	defaultHealthzPort    = 10256
	defaultMetricsAddress = "127.0.0.1:10249"
)

// Options are the flags, and the configuration that they and the file make together.
type Options struct {
	File   string
	Master string
	// Cleanup removes the rules and ends the process.
	Cleanup bool
	Config  kubeproxyconfig.KubeProxyConfiguration

	flags *cliflag.NamedFlagSets
}

// NewOptions has upstream's defaults, but that nftables is the mode.
func NewOptions() *Options {
	o := &Options{}
	setDefaults(&o.Config)
	return o
}

func setDefaults(c *kubeproxyconfig.KubeProxyConfiguration) {
	c.APIVersion, c.Kind = apiVersion, kind
	c.BindAddress = "0.0.0.0"
	c.HealthzBindAddress = fmt.Sprintf("0.0.0.0:%d", defaultHealthzPort)
	c.MetricsBindAddress = defaultMetricsAddress
	c.Mode = modeNFTables
	c.DetectLocalMode = localModeClusterCIDR
	c.ConfigSyncPeriod = metav1.Duration{Duration: 15 * time.Minute}
	c.NFTables.SyncPeriod = metav1.Duration{Duration: 30 * time.Second}
	c.NFTables.MasqueradeBit = ptr.To[int32](14)
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

	fs = o.flags.FlagSet("endpoints")
	fs.StringVar(&c.HealthzBindAddress, "healthz-bind-address", c.HealthzBindAddress, "Address and port of /healthz and /livez; empty serves none.")
	fs.StringVar(&c.MetricsBindAddress, "metrics-bind-address", c.MetricsBindAddress, "Address and port of /metrics, /configz and /proxyMode; empty serves none.")
	fs.BoolVar(&c.BindAddressHardFail, "bind-address-hard-fail", false, "Exit when one of these ports is occupied, instead of going on without.")
	fs.BoolVar(&c.EnableProfiling, "profiling", false, "Serve profiles under /debug/pprof/ of the metrics address.")

	fs = o.flags.FlagSet("traffic")
	fs.StringVar(&c.ClusterCIDR, "cluster-cidr", "", "CIDRs of the pods, comma separated. Packets to cluster IPs from elsewhere are masqueraded.")
	fs.Var((*localModeValue)(&c.DetectLocalMode), "detect-local-mode", "What makes traffic a pod's: ClusterCIDR (--cluster-cidr) or NodeCIDR (the Node's spec.podCIDRs).")
	fs.BoolVar(&c.NFTables.MasqueradeAll, "masquerade-all", false, "Masquerade all packets to cluster IPs.")
	fs.StringSliceVar(&c.NodePortAddresses, "nodeport-addresses", nil, "CIDRs of the addresses that node ports answer on, or \"primary\". Default: primary.")
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
	return o.flags
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
	return validate(&o.Config).ToAggregate()
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
	// The flags hold the addresses of these four: they keep their places and take the values.
	conntrack := o.Config.Conntrack
	*conntrack.MaxPerCore, *conntrack.Min = *c.Conntrack.MaxPerCore, *c.Conntrack.Min
	*conntrack.TCPEstablishedTimeout, *conntrack.TCPCloseWaitTimeout = *c.Conntrack.TCPEstablishedTimeout, *c.Conntrack.TCPCloseWaitTimeout
	c.Conntrack.MaxPerCore, c.Conntrack.Min = conntrack.MaxPerCore, conntrack.Min
	c.Conntrack.TCPEstablishedTimeout, c.Conntrack.TCPCloseWaitTimeout = conntrack.TCPEstablishedTimeout, conntrack.TCPCloseWaitTimeout
	o.Config = c
	return nil
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
	for _, p := range []struct{ have, def **int32 }{{&c.Conntrack.MaxPerCore, &d.Conntrack.MaxPerCore}, {&c.Conntrack.Min, &d.Conntrack.Min}} {
		if *p.have == nil {
			*p.have = *p.def
		}
	}
	if c.Conntrack.TCPEstablishedTimeout == nil {
		c.Conntrack.TCPEstablishedTimeout = d.Conntrack.TCPEstablishedTimeout
	}
	if c.Conntrack.TCPCloseWaitTimeout == nil {
		c.Conntrack.TCPCloseWaitTimeout = d.Conntrack.TCPCloseWaitTimeout
	}
}

func validate(c *kubeproxyconfig.KubeProxyConfiguration) field.ErrorList {
	var errs field.ErrorList
	if c.Mode != modeNFTables {
		errs = append(errs, field.NotSupported(field.NewPath("mode"), c.Mode, []string{modeNFTables}))
	}
	if c.DetectLocalMode != localModeClusterCIDR && c.DetectLocalMode != localModeNodeCIDR {
		errs = append(errs, field.NotSupported(field.NewPath("detectLocalMode"), c.DetectLocalMode, []string{localModeClusterCIDR, localModeNodeCIDR}))
	}
	if _, err := netip.ParseAddr(c.BindAddress); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("bindAddress"), c.BindAddress, "must be an IP address"))
	}
	for path, address := range map[string]string{"healthzBindAddress": c.HealthzBindAddress, "metricsBindAddress": c.MetricsBindAddress} {
		if address == "" {
			continue
		}
		if host, _, err := net.SplitHostPort(address); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(path), address, "must be IP:port"))
		} else if _, err := netip.ParseAddr(host); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(path), address, "must be IP:port"))
		}
	}
	if c.ClusterCIDR != "" {
		for _, cidr := range strings.Split(c.ClusterCIDR, ",") {
			if _, err := netip.ParsePrefix(cidr); err != nil {
				errs = append(errs, field.Invalid(field.NewPath("clusterCIDR"), c.ClusterCIDR, "must be CIDRs such as 10.244.0.0/16, one for each IP family"))
			}
		}
	}
	for i, a := range c.NodePortAddresses {
		if _, err := netip.ParsePrefix(a); err != nil && a != "primary" {
			errs = append(errs, field.Invalid(field.NewPath("nodePortAddresses").Index(i), a, "must be a CIDR such as 10.0.0.0/8, or \"primary\""))
		}
	}
	if bit := ptr.Deref(c.NFTables.MasqueradeBit, 14); bit < 0 || bit > 31 {
		errs = append(errs, field.Invalid(field.NewPath("nftables", "masqueradeBit"), bit, "must be within the range [0, 31]"))
	}
	if c.NFTables.SyncPeriod.Duration <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("nftables", "syncPeriod"), c.NFTables.SyncPeriod.Duration.String(), "must be greater than 0"))
	}
	if c.NFTables.MinSyncPeriod.Duration < 0 || c.NFTables.MinSyncPeriod.Duration > c.NFTables.SyncPeriod.Duration {
		errs = append(errs, field.Invalid(field.NewPath("nftables", "minSyncPeriod"), c.NFTables.MinSyncPeriod.Duration.String(), "must be between 0 and nftables.syncPeriod"))
	}
	for path, n := range map[string]*int32{"maxPerCore": c.Conntrack.MaxPerCore, "min": c.Conntrack.Min} {
		if ptr.Deref(n, 0) < 0 {
			errs = append(errs, field.Invalid(field.NewPath("conntrack", path), *n, "must be greater than or equal to 0"))
		}
	}
	return errs
}

// ClientConnection is the client's configuration in the form that package daemon takes.
func (o *Options) ClientConnection() componentbaseconfig.ClientConnectionConfiguration {
	c := o.Config.ClientConnection
	return componentbaseconfig.ClientConnectionConfiguration{Kubeconfig: c.Kubeconfig, AcceptContentTypes: c.AcceptContentTypes,
		ContentType: c.ContentType, QPS: c.QPS, Burst: c.Burst}
}
