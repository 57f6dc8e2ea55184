package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/egressselector"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"

	"pilotis.dev/cmd/kube-apiserver/resources"
	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
	"pilotis.dev/cmd/kube-apiserver/resources/kubelet"
)

// New builds the chain: the aggregator answers first, what it does not know goes to the core server, and what that
// does not know to the server of custom resources. run serves until its context ends and then drains.
func New(ctx context.Context, o *Options) (chain *aggregatorapiserver.APIAggregator, run func(context.Context) error, err error) {
	c, err := newConfig(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	notFound := genericapiserver.NewEmptyDelegateWithCustomHandler(http.NotFoundHandler())
	extensions, err := c.newExtensions(notFound)
	if err != nil {
		return nil, nil, fmt.Errorf("building the custom resource server: %w", err)
	}
	documents, err := documentCustom(extensions)
	if err != nil {
		return nil, nil, err
	}
	core, err := c.newCore(extensions.GenericAPIServer)
	if err != nil {
		return nil, nil, fmt.Errorf("building the core server: %w", err)
	}
	aggregator, err := c.newAggregator(core, extensions)
	if err != nil {
		return nil, nil, fmt.Errorf("building the aggregator: %w", err)
	}
	prepared, err := aggregator.PrepareRun()
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the API: %w", err)
	}
	documents.takeOver(extensions.GenericAPIServer)
	// What needs the definitions later makes them again, and lets go of them.
	c.generic.OpenAPIV3Config.Definitions = nil
	return aggregator, prepared.Run, nil
}

func (c *config) newCore(next genericapiserver.DelegationTarget) (*genericapiserver.GenericAPIServer, error) {
	generic := *c.generic
	generic.SkipOpenAPIInstallation = true // see documents
	s, err := generic.Complete(c.informers).New("kube-apiserver", next)
	if err != nil {
		return nil, err
	}
	env, err := c.env()
	if err != nil {
		return nil, err
	}
	groups, err := resources.Open(env, resources.Table(), c.generic.MergedResourceConfig)
	if err != nil {
		return nil, err
	}
	if err := c.hideUnintroduced(groups); err != nil {
		return nil, err
	}
	order := make([]string, 0, len(groups))
	for _, g := range groupOrder() {
		order = append(order, g.name)
	}
	if err := resources.Install(s, env, groups, order); err != nil {
		return nil, err
	}
	s.Handler.GoRestfulContainer.Router(&router{})
	if c.authn.OpenID != nil {
		c.authn.OpenID.Install(s.Handler.NonGoRestfulMux)
	}
	installDocuments(s, c.generic.OpenAPIConfig, c.generic.OpenAPIV3Config)
	service, err := c.kubernetesService()
	if err != nil {
		return nil, err
	}
	return s, c.addHooks(s, service)
}

func (c *config) env() (*kind.Env, error) {
	o := c.options.Kubelet
	kubelets := kubelet.Config{CAFile: o.CAFile, CertFile: o.CertFile, KeyFile: o.KeyFile, AddressTypes: o.AddressTypes, Timeout: o.Timeout,
		Proxied: c.proxied()}
	var err error
	if kubelets.Dial, err = c.egress(egressselector.Cluster); err != nil {
		return nil, err
	}
	transport, err := c.clusterTransport()
	if err != nil {
		return nil, err
	}
	client, err := kubelet.NewClient(kubelets)
	if err != nil {
		return nil, err
	}
	env := &kind.Env{
		Types:         c.types,
		Options:       c.generic.RESTOptionsGetter,
		Rules:         rules(c.options.AllowPrivileged, utilfeature.DefaultFeatureGate),
		Gates:         utilfeature.DefaultFeatureGate,
		Off:           gated.NewOff(utilfeature.DefaultFeatureGate),
		Authenticator: c.generic.Authentication.Authenticator,
		Audiences:     c.generic.Authentication.APIAudiences,
		Authorizer:    c.generic.Authorization.Authorizer,
		RuleResolver:  c.generic.RuleResolver,
		ResourceOf:    c.resourceOf,
		Kubelet:       client,
		Proxy:         transport,
		Proxied:       c.proxied(),
		Slices:        c.slices,
		Addresses:     c.addresses,
		EventTTL:      c.options.EventTTL,
		Components:    c.components(),
	}
	if c.authz.Guard != nil {
		env.Guard = c.authz.Guard
	}
	if c.authn.Tokens != nil {
		env.Tokens = c.authn.Tokens
	}
	return env, nil
}

// resourceOf asks discovery, which knows the extensions too.
func (c *config) resourceOf(gvk schema.GroupVersionKind) (string, error) {
	served, err := c.client.Discovery().ServerResourcesForGroupVersion(gvk.GroupVersion().String())
	if err != nil {
		return "", err
	}
	for _, r := range served.APIResources {
		if r.Kind == gvk.Kind && !strings.Contains(r.Name, "/") {
			return r.Name, nil
		}
	}
	return "", fmt.Errorf("no resource of kind %s is served", gvk)
}

func (c *config) kubernetesService() (*kubernetesService, error) {
	port, err := portOf(c.generic)
	if err != nil {
		return nil, err
	}
	masters, err := c.masters()
	if err != nil {
		return nil, err
	}
	k := &kubernetesService{
		client: c.client, address: c.options.Run.AdvertiseAddress, port: port,
		nodePort: c.options.Services.KubernetesNodePort, masters: masters, done: make(chan struct{}),
	}
	for _, r := range c.options.Services.Ranges() {
		ip, err := firstAddress(r)
		if err != nil {
			return nil, err
		}
		k.serviceIPs = append(k.serviceIPs, ip)
	}
	return k, nil
}

func loopbackURL(g *genericapiserver.Config) (*url.URL, error) {
	return url.Parse(g.LoopbackClientConfig.Host)
}
