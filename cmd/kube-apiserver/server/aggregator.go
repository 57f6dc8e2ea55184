package server

import (
	"fmt"
	"net/http"

	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	aggregatorinformers "k8s.io/kube-aggregator/pkg/client/informers/externalversions/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/controllers/autoregister"
)

// newAggregator is the front: it knows by APIService objects which server answers for which API.
func (c *config) newAggregator(core *genericapiserver.GenericAPIServer, extensions *apiextensionsapiserver.CustomResourceDefinitions) (*aggregatorapiserver.APIAggregator, error) {
	generic, _, err := c.derived(aggregatorscheme.Codecs.LegacyCodec(apiregistrationv1.SchemeGroupVersion),
		runtime.NewMultiGroupVersioner(apiregistrationv1.SchemeGroupVersion))
	if err != nil {
		return nil, err
	}
	generic.SkipOpenAPIInstallation = true // the aggregator merges the documents of all servers itself
	generic.MergedResourceConfig = serverstorage.NewResourceConfig()
	generic.MergedResourceConfig.EnableVersions(apiregistrationv1.SchemeGroupVersion)
	peers, err := c.newPeers()
	if err != nil {
		return nil, err
	}
	peers.join(&generic)
	config := aggregatorapiserver.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: generic, SharedInformerFactory: c.informers},
		ExtraConfig: aggregatorapiserver.ExtraConfig{
			ProxyClientCertFile:       c.options.ProxyClientCertFile,
			ProxyClientKeyFile:        c.options.ProxyClientKeyFile,
			ServiceResolver:           c.resolver,
			ProxyTransport:            c.proxy,
			RejectForwardingRedirects: c.options.AggregatorRejectForwardingRedirect,
		},
	}
	if peers != nil && peers.proxy != nil {
		config.ExtraConfig.PeerProxy = peers.proxy
	}
	server, err := config.Complete().NewWithDelegate(core)
	if err != nil {
		return nil, err
	}
	registered, err := c.registerAPIServices(server, core, extensions)
	if err != nil {
		return nil, err
	}
	return server, peers.addHooks(c, server, extensions, registered)
}

// registerAPIServices keeps an APIService for each group and version that this process serves itself: once at start
// for the built-in ones, continuously for those of CustomResourceDefinitions. The check is healthy once the built-in ones are there.
func (c *config) registerAPIServices(server *aggregatorapiserver.APIAggregator, core *genericapiserver.GenericAPIServer,
	extensions *apiextensionsapiserver.CustomResourceDefinitions) (healthz.HealthChecker, error) {
	client, err := clientset.NewForConfig(server.GenericAPIServer.LoopbackClientConfig)
	if err != nil {
		return nil, err
	}
	informer := server.APIRegistrationInformers.Apiregistration().V1().APIServices()
	registration := autoregister.NewAutoRegisterController(informer, client.ApiregistrationV1())
	builtIn := builtInServices(core, extensions.GenericAPIServer)
	for _, s := range builtIn {
		registration.AddAPIServiceToSyncOnStart(s)
	}
	custom := followCustomVersions("crd-autoregister", extensions.Informers.Apiextensions().V1().CustomResourceDefinitions(), registerCustom(registration))
	err = server.GenericAPIServer.AddPostStartHook("kube-apiserver-autoregistration", func(hook genericapiserver.PostStartHookContext) error {
		go custom.run(hook)
		go func() {
			// What CRDs need must be known first, or the registrations of last time would be taken away.
			if custom.waitSynced(hook) {
				registration.Run(5, hook.Done())
			}
		}()
		return nil
	})
	if err != nil {
		return nil, err
	}
	check := servicesRegistered("autoregister-completion", informer, builtIn)
	return check, server.GenericAPIServer.AddBootSequenceHealthChecks(check)
}

// builtInServices makes an APIService of each path /api/v1 or /apis/<group>/<version> that the servers handle.
func builtInServices(servers ...*genericapiserver.GenericAPIServer) []*apiregistrationv1.APIService {
	var out []*apiregistrationv1.APIService
	paths := sets.New[string]()
	for _, s := range servers {
		paths.Insert(s.ListedPaths()...)
	}
	for _, g := range groupOrder() {
		for i := range g.versions {
			gv := g.groupVersion(i)
			path := "/apis/" + gv.String()
			if gv.Group == "" {
				path = "/api/" + gv.Version
			}
			if paths.Has(path) {
				out = append(out, localService(gv, g.priority, g.versionPriority(i)))
			}
		}
	}
	return out
}

// localService is the registration of an API that this process serves.
func localService(gv schema.GroupVersion, group, version int32) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: gv.Version + "." + gv.Group},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: gv.Group, Version: gv.Version, GroupPriorityMinimum: group, VersionPriority: version,
		},
	}
}

// servicesRegistered is healthy when all of the services are known and available.
func servicesRegistered(name string, informer aggregatorinformers.APIServiceInformer, services []*apiregistrationv1.APIService) healthz.HealthChecker {
	lister := informer.Lister()
	return healthz.NamedCheck(name, func(*http.Request) error {
		var faults []error
		for _, want := range services {
			got, err := lister.Get(want.Name)
			if err != nil {
				faults = append(faults, fmt.Errorf("APIService %s is not registered yet: %w", want.Name, err))
				continue
			}
			if !available(got) {
				faults = append(faults, fmt.Errorf("APIService %s is not available yet", want.Name))
			}
		}
		return utilerrors.NewAggregate(faults)
	})
}

func available(s *apiregistrationv1.APIService) bool {
	for _, c := range s.Status.Conditions {
		if c.Type == apiregistrationv1.Available {
			return c.Status == apiregistrationv1.ConditionTrue
		}
	}
	return false
}
