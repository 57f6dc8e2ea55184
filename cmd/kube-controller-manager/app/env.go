package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/controller-manager/pkg/clientbuilder"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
)

// shared is what all controllers have in common.
type shared struct {
	config *Config
	// own are the daemon's credentials, credentials those of its controllers.
	own          clientbuilder.ControllerClientBuilder
	credentials  clientbuilder.ControllerClientBuilder
	informers    informers.SharedInformerFactory
	metadata     metadatainformer.SharedInformerFactory
	reader       kubernetes.Interface
	kinds        *kinds.Watcher
	mapper       meta.ResettableRESTMapper
	started      chan struct{}
	broadcasters []record.EventBroadcaster
}

func newShared(c *Config, client *rest.Config) (*shared, error) {
	s := &shared{config: c, started: make(chan struct{})}
	simple := clientbuilder.SimpleControllerClientBuilder{ClientConfig: client}
	s.own, s.credentials = simple, simple
	if c.KubeCloudShared.UseServiceAccountCredentials {
		own, err := kubernetes.NewForConfig(rest.AddUserAgent(rest.CopyConfig(client), "kube-controller-manager-tokens"))
		if err != nil {
			return nil, err
		}
		anonymous := rest.AnonymousClientConfig(client)
		anonymous.WrapTransport = client.WrapTransport // the guard of the election
		s.credentials = clientbuilder.NewDynamicClientBuilder(anonymous, own.CoreV1(), "kube-system")
	}
	informerClient, err := simple.Client("shared-informers")
	if err != nil {
		return nil, err
	}
	metadataConfig, err := simple.Config("metadata-informers")
	if err != nil {
		return nil, err
	}
	metadataClient, err := metadata.NewForConfig(metadataConfig)
	if err != nil {
		return nil, err
	}
	discoveryClient, err := simple.DiscoveryClient("discovery")
	if err != nil {
		return nil, err
	}
	// Managed fields are of no use to a controller and the larger part of many objects; an update without them keeps them.
	resync := time.Duration(float64(c.Generic.MinResyncPeriod.Duration) * (1 + rand.Float64()))
	s.informers = informers.NewSharedInformerFactoryWithOptions(informerClient, resync, informers.WithTransform(stripManagedFields), informers.WithTweakListOptions(Fresh))
	s.metadata = stripped{metadatainformer.NewFilteredSharedInformerFactory(metadataClient, resync, v1.NamespaceAll, Fresh)}
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoveryClient))
	s.reader = informerClient
	s.kinds = kinds.New(kinds.Config{Metadata: metadataClient, Discovery: discoveryClient, Full: s.full(), Tweak: Fresh})
	return s, nil
}

// stripped is a factory, of the sort that can tweak lists, whose informers keep no managed fields.
type stripped struct {
	metadatainformer.SharedInformerFactory
}

// ForResource implements metadatainformer.SharedInformerFactory.
func (f stripped) ForResource(gvr schema.GroupVersionResource) informers.GenericInformer {
	informer := f.SharedInformerFactory.ForResource(gvr)
	_ = informer.Informer().SetTransform(stripManagedFields) // fails only for a started informer, which has it
	return informer
}

func stripManagedFields(obj any) (any, error) {
	if object, err := meta.Accessor(obj); err == nil && object.GetManagedFields() != nil {
		object.SetManagedFields(nil)
	}
	return obj, nil
}

// forRow makes the environment of one controller, with clients that act as its service account.
func (s *shared) forRow(ctx context.Context, row Row) (*Env, error) {
	credentials := s.credentials
	if row.AsDaemon {
		credentials = s.own
	}
	config, err := credentials.Config(row.Account())
	if err != nil {
		return nil, fmt.Errorf("credentials of the service account kube-system/%s: %w", row.Account(), err)
	}
	env := &Env{
		Name: row.Name, Config: s.config, REST: config, Informers: s.informers, MetadataInformers: s.metadata,
		Mapper: s.mapper, Started: s.started, Reader: s.reader, Kinds: s.kinds,
	}
	if env.Client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if env.Metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, err
	}
	if env.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	env.Discovery = env.Client.Discovery()
	var broadcaster record.EventBroadcaster
	env.Recorder = func(component string) record.EventRecorder {
		if broadcaster == nil {
			// The broadcaster outlives ctx, so that the events of the last writes are sent; stop ends it.
			broadcaster = record.NewBroadcaster(record.WithContext(context.WithoutCancel(ctx)))
			broadcaster.StartStructuredLogging(3)
			broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: env.Client.CoreV1().Events("")})
			s.broadcasters = append(s.broadcasters, broadcaster)
		}
		return newSparing(broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: component}), clock.RealClock{})
	}
	return env, nil
}

// Serves tells whether the API server serves a resource now, which an administrator may have to switch on. What is served changes with
// a restart of the API server; a controller of it starts with the next leader.
func (e *Env) Serves(resource schema.GroupVersionResource) (bool, error) {
	list, err := e.Discovery.ServerResourcesForGroupVersion(resource.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking whether %s is served: %w", resource, err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource.Resource }), nil
}

func (s *shared) start(ctx context.Context) {
	s.informers.Start(ctx.Done())
	s.metadata.Start(ctx.Done())
	close(s.started)
	go s.kinds.Run(ctx)
}

// full returns a lookup of the shared informers that run, by resource; it is asked after they have been started.
func (s *shared) full() func(schema.GroupVersionResource) cache.SharedIndexInformer {
	running := sync.OnceValue(func() map[reflect.Type]bool {
		now := make(chan struct{})
		close(now) // only which types there are is of interest, not whether they are complete
		return s.informers.WaitForCacheSync(now)
	})
	return func(gvr schema.GroupVersionResource) cache.SharedIndexInformer {
		for kind, object := range scheme.Scheme.KnownTypes(gvr.GroupVersion()) {
			if plural, _ := meta.UnsafeGuessKindToResource(gvr.GroupVersion().WithKind(kind)); plural != gvr {
				continue
			}
			if _, runs := running()[reflect.PointerTo(object)]; !runs {
				return nil
			}
			informer, err := s.informers.ForResource(gvr)
			if err != nil {
				return nil
			}
			return informer.Informer()
		}
		return nil
	}
}

func (s *shared) stop() {
	for _, b := range s.broadcasters {
		b.Shutdown()
	}
}
