package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/labels"
	genericapiserver "k8s.io/apiserver/pkg/server"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"

	"pilotis.dev/cmd/kube-apiserver/resources"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// New builds the chain: the aggregator answers first, what it does not know goes to the core server, and what that
// does not know to the server of custom resources.
func New(ctx context.Context, o *Options) (*aggregatorapiserver.APIAggregator, error) {
	c, err := newConfig(ctx, o)
	if err != nil {
		return nil, err
	}
	notFound := genericapiserver.NewEmptyDelegateWithCustomHandler(http.NotFoundHandler())
	extensions, err := c.newExtensions(notFound)
	if err != nil {
		return nil, fmt.Errorf("building the custom resource server: %w", err)
	}
	core, err := c.newCore(ctx, extensions.GenericAPIServer)
	if err != nil {
		return nil, fmt.Errorf("building the core server: %w", err)
	}
	aggregator, err := c.newAggregator(core, extensions)
	if err != nil {
		return nil, fmt.Errorf("building the aggregator: %w", err)
	}
	return aggregator, nil
}

func (c *config) newCore(ctx context.Context, next genericapiserver.DelegationTarget) (*genericapiserver.GenericAPIServer, error) {
	s, err := c.generic.Complete(c.informers).New("kube-apiserver", next)
	if err != nil {
		return nil, err
	}
	env := c.env()
	groups, err := resources.Open(env, resources.Table(), c.generic.MergedResourceConfig)
	if err != nil {
		return nil, err
	}
	order := make([]string, 0, len(groups))
	for _, g := range groupOrder() {
		order = append(order, g.name)
	}
	if err := resources.Install(s, env, groups, order); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *config) env() *kind.Env {
	return &kind.Env{
		Types:    c.types,
		Options:  c.generic.RESTOptionsGetter,
		Rules:    rules(),
		EventTTL: c.options.EventTTL,
	}
}

// sliceGetter finds the EndpointSlices of a Service.
type sliceGetter struct {
	lister discoverylisters.EndpointSliceLister
}

func newSliceGetter(i discoveryinformers.EndpointSliceInformer) *sliceGetter {
	return &sliceGetter{lister: i.Lister()}
}

// GetEndpointSlices implements proxy.EndpointSliceGetter.
func (g *sliceGetter) GetEndpointSlices(namespace, service string) ([]*discoveryv1.EndpointSlice, error) {
	return g.lister.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service}))
}

func loopbackURL(g *genericapiserver.Config) (*url.URL, error) {
	return url.Parse(g.LoopbackClientConfig.Host)
}

var _ = apiextensionsapiserver.Scheme
