// Package reconcile is the loop under every controller of Pilotis: a rate-limited queue of keys, a one-method Reconciler,
// and an own-write gate that keeps a controller from acting on a cache that has not yet seen what the controller itself wrote.
//
// # The own-write gate
//
// A controller reads from an informer cache, decides, and writes. If it decides again before the informer has delivered its
// own write, it decides on stale knowledge: a ReplicaSet would create its pods twice. Expectation counters with a timeout are
// the usual remedy, and over-create when the timeout passes first. Here the controller reports each write (Wrote, Deleted);
// the gate then holds back that one key until the informer's store has reached the resourceVersion that the API server
// returned. There is no timeout: a cache that lags for ten minutes delays a decision by ten minutes, and never doubles it.
// A write whose answer was lost is reported too (Unsure): the key waits until the cache has what the server was found to have.
// Resource versions of one resource are ordered integers (KEP-5504), and the informer's store reports the version up to
// which it is complete, so the gate needs no list of expected objects.
package reconcile
