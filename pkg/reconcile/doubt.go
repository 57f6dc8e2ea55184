package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// List asks the server, past the cache, for the objects among which the one of a lost write is, if it was carried out.
type List func(ctx context.Context) (runtime.Object, error)

// Unsure reports err of a write on behalf of key. When it is no answer of the server (see Refused), nobody knows whether the write was
// carried out: before key is reconciled again, list is asked, and key is held until the store of inf has got as far as the newest
// object of the list. inf must have been given to Watch. A nil err and a refusal are nothing to be unsure about.
func (c *Controller) Unsure(err error, inf cache.SharedIndexInformer, key Key, list List) {
	if err != nil && !Refused(err) {
		c.doubt(inf, key, list)
	}
}

func (c *Controller) doubt(inf cache.SharedIndexInformer, key Key, list List) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doubts == nil {
		c.doubts = map[Key]map[cache.SharedIndexInformer]List{}
	}
	if c.doubts[key] == nil {
		c.doubts[key] = map[cache.SharedIndexInformer]List{}
	}
	c.doubts[key][inf] = list
}

// Refused tells that err is the server's answer that it did not carry a write out. After any other error it may have.
func Refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != http.StatusRequestTimeout
}

// resolve turns what is unsure about key into holds of the gate.
func (c *Controller) resolve(ctx context.Context, key Key) error {
	c.mu.Lock()
	doubts := c.doubts[key]
	delete(c.doubts, key)
	c.mu.Unlock()
	for inf, list := range doubts {
		objects, err := list(ctx)
		if err == nil {
			err = meta.EachListItem(objects, func(obj runtime.Object) error {
				if m, err := meta.Accessor(obj); err == nil {
					c.Wrote(inf, key, m)
				}
				return nil
			})
		}
		if err != nil {
			c.doubt(inf, key, list)
			return fmt.Errorf("finding out what became of a write without an answer: %w", err)
		}
	}
	return nil
}
