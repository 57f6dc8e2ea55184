package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/api/meta"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/flagz"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/openapi"
	proxyutil "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"

	"pilotis.dev/cmd/kube-apiserver/auth"
	"pilotis.dev/cmd/kube-apiserver/auth/noredirect"
	generatedopenapi "pilotis.dev/cmd/kube-apiserver/generated/openapi"
	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
	"pilotis.dev/pkg/api"
	"pilotis.dev/pkg/daemon"
)

// config is what the three servers of the chain share.
type config struct {
	options   *Options
	types     *api.Types
	generic   *genericapiserver.Config
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	informers informers.SharedInformerFactory
	storage   *serverstorage.DefaultStorageFactory
	// proxy dials pods, Services and webhooks.
	proxy     *http.Transport
	authn     *auth.Authentication
	authz     *auth.Authorization
	addresses *serviceip.Allocator
	ports     *serviceip.Ports
	slices    proxyutil.EndpointSliceGetter
	resolver  webhook.ServiceResolver
}

func newConfig(ctx context.Context, o *Options) (*config, error) {
	if err := o.checkFiles(); err != nil {
		return nil, err
	}
	if err := checkGates(ctx, utilfeature.DefaultFeatureGate); err != nil {
		return nil, err
	}
	types, err := api.NewTypes(registerDefaults)
	if err != nil {
		return nil, err
	}
	g := genericapiserver.NewConfig(types.Codecs)
	c := &config{options: o, types: types, generic: g}
	if err := o.Run.ApplyTo(g); err != nil {
		return nil, err
	}
	if err := o.selfSigned(); err != nil {
		return nil, err
	}
	port := o.Serving.BindPort
	daemon.TellExpiredCertificate(ctx, o.Serving)
	if err := o.Serving.ApplyTo(&g.SecureServing); err != nil {
		return nil, fmt.Errorf("serving on --secure-port=%d: %w", port, err)
	}
	if err := addLoopback(g); err != nil {
		return nil, fmt.Errorf("creating the loopback certificate: %w", err)
	}
	if c.client, err = kubernetes.NewForConfig(g.LoopbackClientConfig); err != nil {
		return nil, fmt.Errorf("creating the loopback client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(g.LoopbackClientConfig); err != nil {
		return nil, fmt.Errorf("creating the loopback client: %w", err)
	}
	c.informers = informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithTransform(dropManagedFields))

	if err := o.Features.ApplyTo(g, c.client, c.informers); err != nil {
		return nil, err
	}
	if err := o.APIs.ApplyTo(g, defaultResources(), types.Served); err != nil {
		return nil, fmt.Errorf("--runtime-config: %w", err)
	}
	if errs := o.APIs.Validate(types.Served, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme); len(errs) > 0 {
		return nil, fmt.Errorf("--runtime-config: %w", errors.Join(errs...))
	}
	if err := c.applyEgress(); err != nil {
		return nil, err
	}
	if err := c.applyTraces(); err != nil {
		return nil, err
	}
	daemon.ApplyMetrics(o.Metrics)
	g.Flagz = flagz.NamedFlagSetsReader{FlagSets: o.flags}
	c.serving()
	c.guardPatches()
	if c.slices, err = proxyutil.NewEndpointSliceIndexerGetter(c.informers.Discovery().V1().EndpointSlices()); err != nil {
		return nil, err
	}
	c.proxy = proxyTransport()
	c.resolver = c.serviceResolver()
	if err := c.applyAccess(ctx); err != nil {
		return nil, err
	}
	if err := o.Audit.ApplyTo(g); err != nil {
		return nil, err
	}
	if err := c.applyAdmission(); err != nil {
		return nil, err
	}
	// Last: who wrote a wrong flag or file hears of it before etcd is there.
	if err := waitForEtcd(ctx, o.Etcd.StorageConfig.Transport, etcdPatience); err != nil {
		return nil, err
	}
	if err := c.applyStorage(); err != nil {
		return nil, err
	}
	if err := c.applyServices(); err != nil {
		return nil, err
	}
	return c, nil
}

// serving sets what the API looks like from outside: its document, its long requests.
func (c *config) serving() {
	g := c.generic
	// A leader's write that waited in a queue is judged when its turn has come.
	wrapAPI(g, daemon.WithWriteDeadline)
	definitions := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generatedopenapi.GetOpenAPIDefinitions)
	namer := openapinamer.NewDefinitionNamer(c.types.Served, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme)
	g.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	g.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	g.OpenAPIConfig.Info.Title, g.OpenAPIV3Config.Info.Title = "Kubernetes", "Kubernetes"
	// Without these, the builders put in their own, which hold the whole of the first document for ever.
	g.OpenAPIConfig.GetOperationIDAndTagsFromRoute = operationOf
	g.OpenAPIV3Config.GetOperationIDAndTagsFromRoute = operationOf
	// One manager for the whole chain: clients ask for all groups at once.
	g.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	g.LongRunningFunc = filters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "proxy", "log", "portforward"))
}

// wrapAPI puts a handler between g's handler chain and what it guards: innermost, and so inside what was wrapped before.
func wrapAPI(g *genericapiserver.Config, wrap func(api http.Handler) http.Handler) {
	build := g.BuildHandlerChainFunc
	g.BuildHandlerChainFunc = func(api http.Handler, g *genericapiserver.Config) http.Handler { return build(wrap(api), g) }
}

// operationOf names the operation of a route in the documents.
func operationOf(route common.Route) (id string, tags []string, err error) {
	adapter, ok := route.(*restfuladapter.RouteAdapter)
	if !ok {
		return "", nil, fmt.Errorf("route %s %s is a %T, not one of go-restful", route.Method(), route.Path(), route)
	}
	return openapinamer.GetOperationIDAndTags(adapter.Route)
}

// webhookInitializer lets admission plugins call webhooks.
func (c *config) webhookInitializer() admission.PluginInitializer {
	return webhookinit.NewPluginInitializer(c.webhookAuth(), c.resolver)
}

// webhookAuth is how webhooks are connected to: with the server's credentials for them, and, unless the flag says
// otherwise, without following redirects, by which a webhook could point this server at addresses that only it reaches.
func (c *config) webhookAuth() webhook.AuthenticationInfoResolverWrapper {
	connect := webhook.NewDefaultAuthenticationInfoResolverWrapper(c.proxy, c.generic.EgressSelector, c.generic.LoopbackClientConfig, c.generic.TracerProvider)
	if !c.options.WebhookRejectRedirect {
		return connect
	}
	return func(delegate webhook.AuthenticationInfoResolver) webhook.AuthenticationInfoResolver {
		inner := connect(delegate)
		return &webhook.AuthenticationInfoResolverDelegator{
			ClientConfigForFunc: func(host string) (*rest.Config, error) { return unredirected(inner.ClientConfigFor(host)) },
			ClientConfigForServiceFunc: func(name, namespace string, port int) (*rest.Config, error) {
				return unredirected(inner.ClientConfigForService(name, namespace, port))
			},
		}
	}
}

func unredirected(config *rest.Config, err error) (*rest.Config, error) {
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config) // one of them is the loopback client's
	noredirect.Wrap(config)
	return config, nil
}

// serviceResolver finds where a Service is reached; default/kubernetes is this very server.
func (c *config) serviceResolver() webhook.ServiceResolver {
	services := c.informers.Core().V1().Services().Lister()
	var r webhook.ServiceResolver = aggregatorapiserver.NewClusterIPServiceResolver(services)
	if c.options.EnableAggregatorRouting {
		r = aggregatorapiserver.NewEndpointServiceResolver(services, c.slices)
	}
	if host, err := loopbackURL(c.generic); err == nil {
		r = aggregatorapiserver.NewLoopbackServiceResolver(r, host)
	}
	return r
}

// dropManagedFields keeps out of informers' memory what no reader of this process looks at.
func dropManagedFields(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj, nil
}

// proxyTransport reaches pods and Services, whose certificates nobody of this cluster vouches for.
func proxyTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return utilnet.SetTransportDefaults(&http.Transport{DialContext: dialer.DialContext})
}

// externalAddress is the host:port under which others reach this server.
func (c *config) externalAddress() string {
	host := c.options.Run.ExternalHost
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(c.options.Serving.BindPort))
}
