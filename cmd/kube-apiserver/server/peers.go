package server

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/reconcilers"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/peerproxy"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/transport"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
)

const peerLeasesKey = "/peerserverleases/"

// peers are the other API servers of this etcd (KEP-4020): while a cluster is upgraded, one of them may have an API that
// this server has not.
type peers struct {
	leases   reconcilers.PeerEndpointLeaseReconciler
	proxy    peerproxy.Interface // nil: this server is asked by others, and asks none itself
	identity informers.SharedInformerFactory
}

// newPeers opens the book in etcd where each server tells its address.
func (c *config) newPeers() (*peers, error) {
	o := c.options
	if !o.Peers.wanted() {
		return nil, nil
	}
	config, err := c.storage.NewConfig(corev1.Resource("apiServerPeerIPInfo"), &corev1.Endpoints{})
	if err != nil {
		return nil, err
	}
	p := &peers{}
	if p.leases, err = reconcilers.NewPeerEndpointLeaseReconciler(config, peerLeasesKey, endpointLife); err != nil {
		return nil, fmt.Errorf("opening %s: %w", peerLeasesKey, err)
	}
	if o.Peers.CAFile == "" {
		return p, nil
	}
	selector := identityLabel + "=" + identityOfAPIServer
	p.identity = informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithNamespace(metav1.NamespaceSystem),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.LabelSelector = selector }), informers.WithTransform(dropManagedFields))
	p.proxy, err = peerproxy.NewPeerProxyHandler(c.generic.APIServerID, selector, p.identity.Coordination().V1().Leases(), p.leases,
		c.types.Codecs, c.generic.LoopbackClientConfig, &transport.Config{TLS: transport.TLSConfig{
			CAFile: o.Peers.CAFile, CertFile: o.ProxyClientCertFile, KeyFile: o.ProxyClientKeyFile,
			// Whatever the address, each API server's certificate has this name.
			ServerName: "kubernetes.default.svc", ReloadTLSFiles: true,
		}})
	if err != nil {
		return nil, fmt.Errorf("--peer-ca-file=%s: %w", o.Peers.CAFile, err)
	}
	return p, nil
}

// join lets generic pass on what only others serve, once the server knows them.
func (p *peers) join(generic *genericapiserver.Config) {
	if p == nil || p.proxy == nil {
		return
	}
	wrapAPI(generic, p.proxy.WrapHandler)
}

// addHooks tells the others of this server, and follows them. registered is healthy when this server knows what it serves itself.
func (p *peers) addHooks(c *config, server *aggregatorapiserver.APIAggregator, extensions *apiextensionsapiserver.CustomResourceDefinitions,
	registered healthz.HealthChecker) error {
	if p == nil {
		return nil
	}
	port, err := portOf(c.generic)
	if err != nil {
		return err
	}
	s := server.GenericAPIServer
	own := reconcilers.New(c.generic.APIServerID, c.options.Peers.address(c.options.Run.AdvertiseAddress, port), p.leases, endpointRenewal, c.client)
	if err := s.AddPostStartHook("peer-endpoint-reconciler-controller", func(hook genericapiserver.PostStartHookContext) error {
		own.Start(hook.Done())
		return nil
	}); err != nil {
		return err
	}
	if err := s.AddPreShutdownHook("peer-endpoint-reconciler-controller", func() error {
		own.Stop()
		return nil
	}); err != nil || p.proxy == nil {
		return err
	}
	// What all servers have in common by etcd is never asked for elsewhere, or it would outlive its deletion there.
	crds, services := extensions.Informers.Apiextensions().V1().CustomResourceDefinitions(), server.APIRegistrationInformers.Apiregistration().V1().APIServices()
	if err := errors.Join(p.proxy.RegisterCRDInformerHandlers(crds.Informer(), versionsOfCustom),
		p.proxy.RegisterAPIServiceInformerHandlers(services.Informer(), remoteVersions)); err != nil {
		return err
	}
	return s.AddPostStartHook("unknown-version-proxy-filter", func(hook genericapiserver.PostStartHookContext) error {
		p.identity.Start(hook.Done())
		go p.proxy.RunPeerDiscoveryCacheSync(hook, 1)
		go p.proxy.RunPeerDiscoveryActiveGVTracker(hook)
		go p.proxy.RunPeerDiscoveryRefilter(hook)
		go func() {
			// Before, discovery may lack what this server has, and the answer is kept for half an hour.
			if untilDone(hook, "peers", func(context.Context) error { return registered.Check(nil) }) == nil &&
				untilDone(hook, "peers", func(context.Context) error { return p.proxy.RunLocalDiscoveryCacheSync(hook.Done()) }) == nil {
				_ = p.proxy.WaitForCacheSync(hook.Done()) // it fails only when the server stops
			}
		}()
		return nil
	})
}

func versionsOfCustom(obj any) []schema.GroupVersion {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return nil
	}
	out := make([]schema.GroupVersion, 0, len(crd.Spec.Versions))
	for _, v := range crd.Spec.Versions {
		out = append(out, schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name})
	}
	return out
}

func remoteVersions(obj any) []schema.GroupVersion {
	s, ok := obj.(*apiregistrationv1.APIService)
	if !ok || s.Spec.Service == nil {
		return nil
	}
	return []schema.GroupVersion{{Group: s.Spec.Group, Version: s.Spec.Version}}
}
