package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/filters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/flagz"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/apiserver/pkg/server/statusz"
	"k8s.io/apiserver/pkg/util/compatibility"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/configz"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/certs"
)

// shutdownTimeout bounds how long open requests may take after the daemon was asked to stop.
const shutdownTimeout = 5 * time.Second

// ServingOptions are the flags of a daemon's own HTTPS endpoint; who may read it is asked of the apiserver
// (TokenReview, SubjectAccessReview), as upstream's daemons do.
type ServingOptions struct {
	Secure         *options.SecureServingOptions
	Authentication *options.DelegatingAuthenticationOptions
	Authorization  *options.DelegatingAuthorizationOptions
	Profiling      bool
}

// NewServingOptions serves on all addresses at the TCP port given, with a self-signed certificate in memory
// unless flags name one, and lets anyone read the health endpoints.
func NewServingOptions(port int) *ServingOptions {
	o := &ServingOptions{
		Secure:         options.NewSecureServingOptions(),
		Authentication: options.NewDelegatingAuthenticationOptions(),
		Authorization:  options.NewDelegatingAuthorizationOptions(),
		Profiling:      true,
	}
	o.Secure.BindPort = port
	o.Secure.ServerCert.CertDirectory = "" // a self-signed pair stays in memory
	o.Authentication.RemoteKubeConfigFileOptional = true
	o.Authentication.TolerateInClusterLookupFailure = true // the daemon may start before the apiserver does
	o.Authorization.RemoteKubeConfigFileOptional = true
	return o
}

// AddFlags adds the sections "secure serving", "authentication", "authorization" and "debugging".
func (o *ServingOptions) AddFlags(fss *cliflag.NamedFlagSets) {
	o.Secure.AddFlags(fss.FlagSet("secure serving"))
	o.Authentication.AddFlags(fss.FlagSet("authentication"))
	o.Authorization.AddFlags(fss.FlagSet("authorization"))
	fss.FlagSet("debugging").BoolVar(&o.Profiling, "profiling", o.Profiling, "Serve profiles under /debug/pprof/ of the secure port.")
}

// Validate returns every fault of the flags.
func (o *ServingOptions) Validate() []error {
	var errs []error
	errs = append(errs, o.Secure.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	return append(errs, o.Authorization.Validate()...)
}

// Endpoint is what a daemon shows of itself.
type Endpoint struct {
	Name string // the component's name in /flagz and /statusz
	// Live fails when the process should be restarted, Ready when it should get no work yet.
	Live, Ready []healthz.HealthChecker
	Config      runtime.Object // shown under /configz when set, as ConfigName
	ConfigName  string
	Flags       *cliflag.NamedFlagSets
	Extra       map[string]http.Handler // further exact paths, behind authorization
	// Version is shown by /statusz; nil stands for the binary's own.
	Version basecompatibility.EffectiveVersion
}

// Serve answers /healthz, /livez, /readyz, /metrics, /configz, /flagz, /statusz and /debug/pprof until ctx
// ends; stopped is closed when the last request is done. With --secure-port=0 nothing is served.
func (o *ServingOptions) Serve(ctx context.Context, e Endpoint) (stopped <-chan struct{}, err error) {
	if o.Secure.BindPort == 0 && o.Secure.Listener == nil {
		closed := make(chan struct{})
		close(closed)
		return closed, nil
	}
	if err := o.selfSigned(); err != nil {
		return nil, fmt.Errorf("creating a self-signed serving certificate: %w", err)
	}
	port := o.Secure.BindPort // a failure to listen clears it
	TellExpiredCertificate(ctx, o.Secure)
	var info *genericapiserver.SecureServingInfo
	if err := o.Secure.ApplyTo(&info); err != nil {
		return nil, fmt.Errorf("serving on --secure-port=%d: %w", port, err)
	}
	if info == nil {
		return nil, fmt.Errorf("serving on --secure-port=%d: no listener", port)
	}
	var authn genericapiserver.AuthenticationInfo
	if err := o.Authentication.ApplyTo(&authn, info, nil); err != nil {
		return nil, err
	}
	var authz genericapiserver.AuthorizationInfo
	if err := o.Authorization.ApplyTo(&authz); err != nil {
		return nil, err
	}
	handler := chain(o.routes(e), &authn, &authz)
	stopped, _, err = info.Serve(handler, shutdownTimeout, ctx.Done())
	if err != nil {
		return nil, fmt.Errorf("serving on --secure-port=%d: %w", port, err)
	}
	klog.FromContext(ctx).Info("Serving", "address", info.Listener.Addr().String())
	return stopped, nil
}

// selfSigned makes a serving certificate when the flags name none: in memory unless they name a directory.
func (o *ServingOptions) selfSigned() error {
	cert := &o.Secure.ServerCert
	if cert.CertDirectory != "" || cert.CertKey.CertFile != "" || cert.CertKey.KeyFile != "" {
		return o.Secure.MaybeDefaultWithSelfSignedCerts("localhost", nil, nil)
	}
	spec := certs.Spec{CommonName: "localhost", DNSNames: []string{"localhost"}, Algorithm: certs.ECDSAP256} // RSA keys take a start 0.2 s
	if !o.Secure.BindAddress.IsUnspecified() {
		spec.IPs = []net.IP{o.Secure.BindAddress}
	}
	chain, key, err := certs.SelfSigned(spec)
	if err != nil {
		return err
	}
	cert.GeneratedCert, err = dynamiccertificates.NewStaticCertKeyContent("self-signed", chain, key)
	return err
}

// TellExpiredCertificate logs that clients will refuse the serving certificate. The daemon goes on: it takes a renewed
// file without a restart.
func TellExpiredCertificate(ctx context.Context, o *options.SecureServingOptions) {
	files := o.ServerCert.CertKey
	if files.CertFile == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return // told by who serves with it
	}
	if err := certs.CheckTime(pair.Leaf, time.Now()); err != nil {
		klog.FromContext(ctx).Error(err, "Clients will refuse the serving certificate", "file", files.CertFile)
	}
}

// ApplyMetrics applies the flags of metrics, if there are any: the library complains of an empty list otherwise.
func ApplyMetrics(o *metrics.Options) {
	if o.ShowHiddenMetricsForVersion == "" && len(o.DisabledMetrics) == 0 && len(o.AllowListMapping) == 0 && o.AllowListMappingManifest == "" {
		return
	}
	o.Apply()
}

func (o *ServingOptions) routes(e Endpoint) *mux.PathRecorderMux {
	m := mux.NewPathRecorderMux(e.Name)
	healthz.InstallHandler(m, e.Live...)
	healthz.InstallLivezHandler(m, e.Live...)
	healthz.InstallReadyzHandler(m, append(e.Ready, e.Live...)...)
	m.Handle("/metrics", legacyregistry.HandlerWithReset())
	if e.Config != nil {
		if c, err := configz.New(e.ConfigName); err == nil && c.Set(e.Config) == nil {
			configz.InstallHandler(m)
		}
	}
	if o.Profiling {
		routes.Profiling{}.Install(m)
	}
	if e.Flags != nil {
		flagz.Install(m, e.Name, flagz.NamedFlagSetsReader{FlagSets: *e.Flags})
	}
	for path, h := range e.Extra {
		m.Handle(path, h)
	}
	if e.Version == nil {
		e.Version = compatibility.DefaultBuildEffectiveVersion()
	}
	statusz.Install(m, e.Name, statusz.NewRegistry(e.Version, statusz.WithListedPaths(m.ListedPaths())))
	return m
}

// chain puts authentication and authorization before h.
func chain(h http.Handler, authn *genericapiserver.AuthenticationInfo, authz *genericapiserver.AuthorizationInfo) http.Handler {
	resolver := &apirequest.RequestInfoFactory{}
	codecs := serializer.NewCodecFactory(statusScheme())
	if authz.Authorizer != nil {
		h = filters.WithAuthorization(h, authz.Authorizer, codecs)
	}
	if authn.Authenticator != nil {
		h = filters.WithAuthentication(h, authn.Authenticator, filters.Unauthorized(codecs), nil, nil)
	}
	h = filters.WithRequestInfo(h, resolver)
	h = filters.WithCacheControl(h)
	h = genericfilters.WithHTTPLogging(h)
	return genericfilters.WithPanicRecovery(h, resolver)
}

// statusScheme knows metav1.Status, the only object a daemon's endpoint answers with.
func statusScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	addMeta(s, schema.GroupVersion{Version: "v1"})
	return s
}
