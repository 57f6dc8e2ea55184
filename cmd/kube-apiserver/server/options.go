package server

import (
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"

	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/metrics"
)

// Options are the flags of kube-apiserver, by section of --help.
type Options struct {
	Run      *options.ServerRunOptions
	Etcd     *options.EtcdOptions
	Serving  *options.SecureServingOptions
	Audit    *options.AuditOptions
	Features *options.FeatureOptions
	APIs     *options.APIEnablementOptions
	Egress   *options.EgressSelectorOptions
	Traces   *options.TracingOptions
	Metrics  *metrics.Options
	Access   *AccessOptions
	Kubelet  *KubeletOptions
	Services *ServiceOptions
	Peers    *PeerOptions

	AllowPrivileged bool
	EventTTL        time.Duration

	ProxyClientCertFile, ProxyClientKeyFile string
	EnableAggregatorRouting                 bool
	AggregatorRejectForwardingRedirect      bool
	WebhookRejectRedirect                   bool
	ProxyRejectLocalAddresses               bool

	EndpointReconciler string
	APIServerCount     int

	flags cliflag.NamedFlagSets
}

// NewOptions returns the defaults: what upstream's kube-apiserver does without flags.
func NewOptions() *Options {
	o := &Options{
		Run:      options.NewServerRunOptions(),
		Etcd:     options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil)),
		Serving:  options.NewSecureServingOptions(),
		Audit:    options.NewAuditOptions(),
		Features: options.NewFeatureOptions(),
		APIs:     options.NewAPIEnablementOptions(),
		Egress:   options.NewEgressSelectorOptions(),
		Traces:   options.NewTracingOptions(),
		Metrics:  metrics.NewOptions(),
		Access:   NewAccessOptions(),
		Kubelet:  NewKubeletOptions(),
		Services: NewServiceOptions(),
		Peers:    &PeerOptions{},

		EventTTL:                           time.Hour,
		AggregatorRejectForwardingRedirect: true,
		WebhookRejectRedirect:              true,
		ProxyRejectLocalAddresses:          true,
		EndpointReconciler:                 leaseReconciler,
		APIServerCount:                     1,
	}
	o.Etcd.DefaultStorageMediaType = runtime.ContentTypeProtobuf
	o.Serving.BindPort = 6443
	o.Serving.Required = true
	o.Serving.ServerCert.PairName = "apiserver"
	o.Serving.ServerCert.CertDirectory = "/var/run/kubernetes"
	return o
}

// AddFlags adds all flags to fss, section by section.
func (o *Options) AddFlags(fss *cliflag.NamedFlagSets) {
	o.Run.AddUniversalFlags(fss.FlagSet("generic"))
	o.Etcd.AddFlags(fss.FlagSet("etcd"))
	o.Serving.AddFlags(fss.FlagSet("secure serving"))
	o.Audit.AddFlags(fss.FlagSet("auditing"))
	o.Features.AddFlags(fss.FlagSet("features"))
	o.APIs.AddFlags(fss.FlagSet("API enablement"))
	o.Egress.AddFlags(fss.FlagSet("egress selector"))
	o.Traces.AddFlags(fss.FlagSet("traces"))
	o.Metrics.AddFlags(fss.FlagSet("metrics"))
	o.Access.AddFlags(fss)
	o.Kubelet.AddFlags(fss.FlagSet("kubelet"))
	o.Services.AddFlags(fss.FlagSet("services"))
	o.Peers.AddFlags(fss.FlagSet("misc"))
	o.addMisc(fss.FlagSet("misc"))
	o.flags = *fss
}

func (o *Options) addMisc(fs *pflag.FlagSet) {
	fs.BoolVar(&o.AllowPrivileged, "allow-privileged", o.AllowPrivileged, "Allow privileged containers.")
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long an event is kept.")
	fs.StringVar(&o.ProxyClientCertFile, "proxy-client-cert-file", o.ProxyClientCertFile,
		"Client certificate that proves to aggregated API servers and webhooks that a request comes from this server.")
	fs.StringVar(&o.ProxyClientKeyFile, "proxy-client-key-file", o.ProxyClientKeyFile, "Private key of --proxy-client-cert-file.")
	fs.BoolVar(&o.EnableAggregatorRouting, "enable-aggregator-routing", o.EnableAggregatorRouting,
		"Send requests for aggregated API servers to the endpoints of their Service rather than to its cluster IP.")
	fs.BoolVar(&o.AggregatorRejectForwardingRedirect, "aggregator-reject-forwarding-redirect", o.AggregatorRejectForwardingRedirect,
		"Do not pass redirects of aggregated API servers on to clients.")
	fs.BoolVar(&o.WebhookRejectRedirect, "webhook-reject-redirect", o.WebhookRejectRedirect,
		"Do not follow redirects of admission and conversion webhooks. false opens CVE-2020-8561: who runs a webhook points this server at addresses that only it reaches.")
	fs.BoolVar(&o.ProxyRejectLocalAddresses, "proxy-reject-local-addresses", o.ProxyRejectLocalAddresses,
		"Do not connect to loopback and link-local addresses by the proxies of nodes, pods and Services. false opens CVE-2020-8562: who writes a Node or the status of a pod points this server at its own machine.")
	fs.StringVar(&o.EndpointReconciler, "endpoint-reconciler-type", o.EndpointReconciler,
		"Who keeps the endpoints of the Service default/kubernetes: lease (all live API servers), master-count (this one among --apiserver-count) or none.")
	fs.IntVar(&o.APIServerCount, "apiserver-count", o.APIServerCount, "Number of API servers, for --endpoint-reconciler-type=master-count.")
}

// Complete derives what was not given.
func (o *Options) Complete() error {
	if err := o.Run.ComponentGlobalsRegistry.Set(); err != nil { // feature gates count from here on
		return err
	}
	if err := o.Run.Complete(); err != nil {
		return err
	}
	if err := o.Run.DefaultAdvertiseAddress(o.Serving); err != nil {
		return err
	}
	if err := o.Services.Complete(); err != nil {
		return err
	}
	if o.Run.ExternalHost == "" {
		o.Run.ExternalHost = o.Run.AdvertiseAddress.String()
		if o.Run.AdvertiseAddress == nil {
			if ip, err := utilnet.ResolveBindAddress(o.Serving.BindAddress); err == nil {
				o.Run.ExternalHost = ip.String()
			}
		}
	}
	return nil
}

// selfSigned makes a serving certificate when the flags name none.
func (o *Options) selfSigned() error {
	alternate := []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, r := range o.Services.ranges {
		first, err := firstAddress(r)
		if err != nil {
			return err
		}
		alternate = append(alternate, first)
	}
	err := o.Serving.MaybeDefaultWithSelfSignedCerts(o.Run.AdvertiseAddress.String(),
		[]string{"kubernetes.default.svc", "kubernetes.default", "kubernetes"}, alternate)
	if err != nil {
		return fmt.Errorf("creating a self-signed serving certificate: %w", err)
	}
	return nil
}

// Validate returns every fault of the flags.
func (o *Options) Validate() []error {
	var errs []error
	errs = append(errs, o.Run.Validate()...)
	errs = append(errs, o.Etcd.Validate()...)
	errs = append(errs, o.Serving.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Egress.Validate()...)
	errs = append(errs, o.Traces.Validate()...)
	errs = append(errs, o.Metrics.Validate()...)
	errs = append(errs, o.Access.Validate()...)
	errs = append(errs, o.Kubelet.Validate()...)
	errs = append(errs, o.Services.Validate()...)
	errs = append(errs, o.Peers.Validate(utilfeature.DefaultFeatureGate, o.ProxyClientCertFile)...)
	if o.EventTTL <= 0 {
		errs = append(errs, fmt.Errorf("--event-ttl=%s: must be positive", o.EventTTL))
	}
	if (o.ProxyClientCertFile == "") != (o.ProxyClientKeyFile == "") {
		errs = append(errs, fmt.Errorf("--proxy-client-cert-file and --proxy-client-key-file belong together: give both or none"))
	}
	if o.APIServerCount <= 0 {
		errs = append(errs, fmt.Errorf("--apiserver-count=%d: must be positive", o.APIServerCount))
	}
	switch o.EndpointReconciler {
	case leaseReconciler, countReconciler, noReconciler:
	default:
		errs = append(errs, fmt.Errorf("--endpoint-reconciler-type=%s: must be lease, master-count or none", o.EndpointReconciler))
	}
	return errs
}
