package daemon

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// leaseClient is what an election needs of the API.
type leaseClient interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error)
	Create(ctx context.Context, lease *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error)
	Update(ctx context.Context, lease *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// candidate is one instance in an election. It changes the Lease in the version it knows alone, so that of two that try
// at once one fails, and a leader that was away never writes over its successor's.
type candidate struct {
	config   componentbaseconfig.LeaderElectionConfiguration
	identity string
	leases   leaseClient
	fence    *fence

	lease *coordinationv1.Lease // as it was last seen or written; nil before
	// seen is when this version of the lease was first seen, or for one's own when its writing began: clocks of other
	// machines play no part.
	seen time.Time
	gone bool // the lease has been deleted since
}

// acquire returns true when this instance holds the lease, and false when ctx ends before.
func (c *candidate) acquire(ctx context.Context) bool {
	logger := klog.FromContext(ctx)
	told := ""
	tell := func(err error, message string) { // the same words once
		if ctx.Err() == nil && told != err.Error() {
			logger.Error(err, message)
			told = err.Error()
		}
	}
	for ctx.Err() == nil {
		if err := c.observe(ctx); err != nil {
			tell(err, "Lease cannot be read, trying on")
			sleep(ctx, c.config.RetryPeriod.Duration)
			continue
		}
		if c.left() <= 0 {
			if err := c.write(ctx, c.claim()); err == nil {
				return true
			} else if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
				tell(err, "Lease cannot be taken, trying on")
				sleep(ctx, c.config.RetryPeriod.Duration)
			}
			continue
		}
		if holder := ptr.Deref(c.lease.Spec.HolderIdentity, ""); holder != told {
			logger.Info("Another instance leads", "leader", holder, "lease", klog.KObj(c.lease))
			told = holder
		}
		c.await(ctx)
	}
	return false
}

// observe reads the lease.
func (c *candidate) observe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.RenewDeadline.Duration/2)
	defer cancel()
	lease, err := c.leases.Get(ctx, c.config.ResourceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.gone = true
		return nil
	}
	if err == nil {
		c.take(lease)
	}
	return err
}

// take takes a version of the lease in.
func (c *candidate) take(lease *coordinationv1.Lease) {
	c.gone = false
	if c.lease == nil || c.lease.ResourceVersion != lease.ResourceVersion || c.lease.UID != lease.UID {
		c.lease, c.seen = lease, time.Now()
	}
}

// left is how long the lease has to be left to its holder. A deleted lease leaves its holder the time to notice.
func (c *candidate) left() time.Duration {
	if c.lease == nil || !c.foreign() {
		return 0
	}
	return time.Duration(ptr.Deref(c.lease.Spec.LeaseDurationSeconds, 0))*time.Second - time.Since(c.seen)
}

// foreign tells whether the lease, as it was last seen, is another instance's.
func (c *candidate) foreign() bool {
	holder := ptr.Deref(c.lease.Spec.HolderIdentity, "")
	return holder != "" && holder != c.identity
}

// await returns when the lease may be free, or should be read again. It follows the lease by a watch, and without one
// reads it every RetryPeriod.
func (c *candidate) await(ctx context.Context) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	unanswered := time.AfterFunc(c.left(), stop)
	w, err := c.leases.Watch(watching, metav1.ListOptions{FieldSelector: "metadata.name=" + c.config.ResourceName, ResourceVersion: c.lease.ResourceVersion})
	unanswered.Stop()
	pause := c.left()
	var events <-chan watch.Event
	if err == nil {
		defer w.Stop()
		events = w.ResultChan()
	} else {
		pause = min(pause, c.config.RetryPeriod.Duration)
	}
	timer := time.NewTimer(max(pause, 0))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case event := <-events:
			lease, ok := event.Object.(*coordinationv1.Lease)
			if !ok || event.Type == watch.Deleted {
				// The watch ended, or the lease did. A server that ends every watch at once is not asked without pause.
				events = nil
				timer.Reset(min(c.left(), c.config.RetryPeriod.Duration))
				continue
			}
			c.take(lease)
			timer.Reset(max(c.left(), 0))
		}
	}
}

// claim is the lease as this instance wants it.
func (c *candidate) claim() *coordinationv1.Lease {
	now := metav1.NowMicro()
	claim := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: c.config.ResourceNamespace, Name: c.config.ResourceName}}
	transitions := int32(0)
	if c.lease != nil {
		if !c.gone {
			claim = c.lease.DeepCopy()
		}
		transitions = ptr.Deref(c.lease.Spec.LeaseTransitions, 0)
	}
	if c.lease != nil && ptr.Deref(c.lease.Spec.HolderIdentity, "") == c.identity {
		claim.Spec.AcquireTime = c.lease.Spec.AcquireTime
	} else {
		claim.Spec.AcquireTime = &now
		if c.lease != nil {
			transitions++
		}
	}
	claim.Spec.HolderIdentity = &c.identity
	claim.Spec.LeaseTransitions = &transitions
	claim.Spec.LeaseDurationSeconds = ptr.To(int32(c.config.LeaseDuration.Duration / time.Second))
	claim.Spec.RenewTime = &now
	return claim
}

// write stores claim; with it the time begins in which this instance may write.
func (c *candidate) write(ctx context.Context, claim *coordinationv1.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.RenewDeadline.Duration/2)
	defer cancel()
	began := time.Now()
	var lease *coordinationv1.Lease
	var err error
	if claim.ResourceVersion == "" {
		lease, err = c.leases.Create(ctx, claim, metav1.CreateOptions{})
	} else {
		lease, err = c.leases.Update(ctx, claim, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	c.lease, c.seen, c.gone = lease, began, false
	c.fence.extend(began.Add(c.config.RenewDeadline.Duration))
	return nil
}

// renew keeps the lease until ctx ends, and returns true when it is lost: another instance has it, or it could not be
// renewed for RenewDeadline.
func (c *candidate) renew(ctx context.Context) (lost bool) {
	logger := klog.FromContext(ctx)
	for sleep(ctx, c.config.RetryPeriod.Duration) {
		err := c.write(ctx, c.claim())
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
			// Someone else wrote it: a successor, an administrator, or this instance itself without hearing of it.
			if err = c.reread(ctx); err == nil {
				if c.foreign() {
					logger.Info("Lease lost", "leader", *c.lease.Spec.HolderIdentity)
					return true
				}
				err = c.write(ctx, c.claim())
			}
		}
		if err != nil && ctx.Err() == nil {
			logger.Info("Lease not renewed", "err", err)
			if c.foreign() || time.Since(c.seen) > c.config.RenewDeadline.Duration {
				return true
			}
		}
	}
	return false
}

// reread brings the knowledge of a lease up to date, without taking it for a renewal.
func (c *candidate) reread(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.RenewDeadline.Duration/2)
	defer cancel()
	lease, err := c.leases.Get(ctx, c.config.ResourceName, metav1.GetOptions{})
	if err == nil {
		c.lease = lease
	}
	if c.gone = apierrors.IsNotFound(err); c.gone {
		return nil
	}
	return err
}

// release gives the lease up. A lease that has changed is not this instance's to give.
func (c *candidate) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.config.RenewDeadline.Duration/2)
	defer cancel()
	now := metav1.NowMicro()
	free := c.lease.DeepCopy()
	free.Spec.HolderIdentity, free.Spec.LeaseDurationSeconds = ptr.To(""), ptr.To(int32(1))
	free.Spec.AcquireTime, free.Spec.RenewTime = &now, &now
	_, err := c.leases.Update(ctx, free, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		// The last renewal may have been stored without an answer that was waited for.
		if err = c.reread(ctx); err == nil && !c.gone && ptr.Deref(c.lease.Spec.HolderIdentity, "") == c.identity {
			free.ResourceVersion = c.lease.ResourceVersion
			_, err = c.leases.Update(ctx, free, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		klog.FromContext(ctx).Info("Lease not released, it will expire", "err", err)
	}
}

// sleep returns false when ctx ends before d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
