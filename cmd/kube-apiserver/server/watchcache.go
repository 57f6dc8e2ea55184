package server

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// cachedOptions opens watch caches that wake up together. Each of the 60 looks once a second whether a watcher is due
// a bookmark; apart they woke an idle server 55 times a second, which was the most of what it did.
type cachedOptions struct {
	generic.RESTOptionsGetter
	sizes map[schema.GroupResource]int // --watch-cache-sizes: 0 is for no cache
}

// withCaches returns inner with such watch caches where o asks for any.
func withCaches(inner generic.RESTOptionsGetter, o *options.EtcdOptions) (generic.RESTOptionsGetter, error) {
	if !o.EnableWatchCache {
		return inner, nil
	}
	sizes, err := options.ParseWatchCacheSizes(o.WatchCacheSizes)
	if err != nil {
		return nil, err
	}
	return cachedOptions{inner, sizes}, nil
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (c cachedOptions) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	o, err := c.RESTOptionsGetter.GetRESTOptions(resource, example)
	if size, set := c.sizes[resource]; err == nil && (!set || size > 0) {
		o.Decorator = cachedStorage
	}
	return o, err
}

// cachedStorage implements generic.StorageDecorator.
func cachedStorage(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newObject, newList func() runtime.Object,
	attributes storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
	raw, destroy, err := generic.NewRawStorage(config, newObject, newList, prefix)
	if err != nil {
		return raw, destroy, err
	}
	c, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: raw, Versioner: storage.APIObjectVersioner{}, GroupResource: config.GroupResource, EventsHistoryWindow: config.EventsHistoryWindow,
		ResourcePrefix: prefix, KeyFunc: key, NewFunc: newObject, NewListFunc: newList, GetAttrsFunc: attributes, IndexerFuncs: triggers,
		Indexers: indexers, Codec: config.Codec, Clock: wholeSeconds{},
	})
	if err != nil {
		destroy()
		return nil, func() {}, err
	}
	delegator := cacher.NewCacheDelegator(c, raw)
	return delegator, sync.OnceFunc(func() {
		delegator.Stop()
		c.Stop()
		destroy()
	}), nil
}

// wholeSeconds is the real clock, but that timers of a second or more end with a whole second, up to a second early:
// those that begin together end together.
type wholeSeconds struct{ clock.RealClock }

// NewTimer implements clock.Clock.
func (c wholeSeconds) NewTimer(d time.Duration) clock.Timer {
	return wholeSecondsTimer{c.RealClock.NewTimer(early(time.Now(), d))}
}

type wholeSecondsTimer struct{ clock.Timer }

// Reset implements clock.Timer.
func (t wholeSecondsTimer) Reset(d time.Duration) bool { return t.Timer.Reset(early(time.Now(), d)) }

func early(now time.Time, d time.Duration) time.Duration {
	if d < time.Second {
		return d
	}
	return now.Add(d).Truncate(time.Second).Sub(now)
}
