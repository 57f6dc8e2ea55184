// Package nodettl says in an annotation of every Node how long its kubelet may keep Secrets and ConfigMaps without asking again: the
// larger the cluster, the longer.
package nodettl

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// steps are the times by size of the cluster. They overlap, so that a node more or less at an edge changes nothing.
var steps = []struct{ least, most, seconds int }{
	{0, 100, 0}, {90, 500, 15}, {450, 1000, 30}, {900, 2000, 60}, {1800, 10000, 300}, {9000, math.MaxInt, 600},
}

// Step is where a cluster of this many nodes belongs that was at step at.
func Step(at, nodes int) int {
	for nodes > steps[at].most {
		at++
	}
	for nodes < steps[at].least {
		at--
	}
	return at
}

// controller keeps the step that the cluster is at.
type controller struct {
	*reconcile.Controller
	mu sync.Mutex
	at int
}

// New makes the controller; its keys are nodes.
func New(nodes coreinformers.NodeInformer, client kubernetes.Interface) *reconcile.Controller {
	informer, lister := nodes.Informer(), nodes.Lister()
	c := &controller{}
	c.Controller = reconcile.New("ttlcontroller", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		seconds := c.seconds(informer.GetStore().ListKeys())
		node, err := lister.Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if node.Annotations[v1.ObjectTTLAnnotationKey] == strconv.Itoa(seconds) {
			return reconcile.Result{}, nil
		}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, v1.ObjectTTLAnnotationKey, seconds)
		written, err := client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		c.Wrote(informer, key, written)
		return reconcile.Result{}, nil
	}), reconcile.Options{Workers: 5})
	c.Watch(informer, reconcile.ObjectKey)
	return c.Controller
}

// seconds is the time of a cluster with these nodes; when it changes, all of them are looked at.
func (c *controller) seconds(nodes []string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := Step(c.at, len(nodes)); at != c.at {
		c.at = at
		for _, name := range nodes {
			c.Enqueue(reconcile.Key{Name: name})
		}
	}
	return steps[c.at].seconds
}
