// Package servicecidr keeps ServiceCIDRs from going while addresses of Services come from them (KEP-1880).
//
// Each carries a finalizer and the condition Ready. Of one that is being deleted no address is given out any more; it goes when every
// address in it lies in another ServiceCIDR too, and after a moment in which every allocator has seen the deletion.
package servicecidr

import (
	"context"
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

const (
	finalizer = "networking.k8s.io/service-cidr-finalizer"
	// grace is given to allocators that have not seen a deletion yet.
	grace = 10 * time.Second
)

// Controller judges ServiceCIDRs.
type Controller struct {
	*reconcile.Controller
	client    kubernetes.Interface
	recorder  record.EventRecorder
	clock     clock.Clock
	cidrs     networkinglisters.ServiceCIDRLister
	addresses networkinglisters.IPAddressLister
	informer  cache.SharedIndexInformer
}

// New makes the controller; its keys are ServiceCIDRs.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, k clock.WithTicker) *Controller {
	cidrs, addresses := f.Networking().V1().ServiceCIDRs(), f.Networking().V1().IPAddresses()
	c := &Controller{client: client, recorder: recorder, clock: k, cidrs: cidrs.Lister(), addresses: addresses.Lister(), informer: cidrs.Informer()}
	c.Controller = reconcile.New("servicecidrs", reconcile.Func(c.reconcile), reconcile.Options{Workers: 5, Clock: k})
	c.Watch(c.informer, func(obj any) []reconcile.Key {
		// One that comes or goes can free others, and bind them.
		return append(reconcile.ObjectKey(obj), c.deleting()...)
	})
	c.Watch(addresses.Informer(), func(any) []reconcile.Key { return c.deleting() })
	return c
}

// deleting are the ServiceCIDRs whose end may have to wait.
func (c *Controller) deleting() []reconcile.Key {
	all, err := c.cidrs.List(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, cidr := range all {
		if cidr.DeletionTimestamp != nil {
			keys = append(keys, reconcile.KeyOf(cidr))
		}
	}
	return keys
}

func (c *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	cidr, err := c.cidrs.Get(key.Name)
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	guarded := slices.Contains(cidr.Finalizers, finalizer)
	if cidr.DeletionTimestamp == nil {
		if !guarded {
			update := cidr.DeepCopy()
			update.Finalizers = append(update.Finalizers, finalizer)
			if cidr, err = c.update(ctx, update); err != nil {
				return reconcile.Result{}, reconcile.IgnoreNotFound(err)
			}
		}
		return reconcile.Result{}, c.judge(ctx, cidr, metav1.ConditionTrue, "ServiceCIDRReady", "Kubernetes Service CIDR is ready")
	}
	if !guarded {
		return reconcile.Result{}, nil
	}
	all, err := c.cidrs.List(labels.Everything())
	if err != nil {
		return reconcile.Result{}, err
	}
	addresses, err := c.addresses.List(labels.Everything())
	if err != nil {
		return reconcile.Result{}, err
	}
	if Needed(cidr, all, addresses) {
		return reconcile.Result{}, c.judge(ctx, cidr, metav1.ConditionFalse, networkingv1.ServiceCIDRReasonTerminating,
			"There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR")
	}
	if left := cidr.DeletionTimestamp.Add(grace).Sub(c.clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	update := cidr.DeepCopy()
	update.Finalizers = slices.DeleteFunc(update.Finalizers, func(f string) bool { return f == finalizer })
	if _, err = c.client.NetworkingV1().ServiceCIDRs().Update(ctx, update, metav1.UpdateOptions{}); err == nil {
		klog.FromContext(ctx).V(2).Info("No address needs the range any more", "serviceCIDR", cidr.Name)
	}
	return reconcile.Result{}, reconcile.IgnoreNotFound(err)
}

// judge sets the condition Ready where its status differs.
func (c *Controller) judge(ctx context.Context, cidr *networkingv1.ServiceCIDR, status metav1.ConditionStatus, reason, message string) error {
	if have := apimeta.FindStatusCondition(cidr.Status.Conditions, networkingv1.ServiceCIDRConditionReady); have != nil && have.Status == status {
		return nil
	}
	update := cidr.DeepCopy()
	apimeta.SetStatusCondition(&update.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(c.clock.Now()),
	})
	written, err := c.client.NetworkingV1().ServiceCIDRs().UpdateStatus(ctx, update, metav1.UpdateOptions{})
	if err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	c.Wrote(c.informer, reconcile.KeyOf(cidr), written)
	if status == metav1.ConditionFalse {
		c.recorder.Event(cidr, "Warning", reason, message)
	}
	return nil
}

func (c *Controller) update(ctx context.Context, cidr *networkingv1.ServiceCIDR) (*networkingv1.ServiceCIDR, error) {
	written, err := c.client.NetworkingV1().ServiceCIDRs().Update(ctx, cidr, metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	c.Wrote(c.informer, reconcile.KeyOf(cidr), written)
	return written, nil
}

// Needed tells whether an address lies in the ranges of going and in none of the others that stay.
func Needed(going *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, addresses []*networkingv1.IPAddress) bool {
	var rest []netip.Prefix
	for _, cidr := range all {
		if cidr.Name != going.Name && cidr.DeletionTimestamp == nil {
			rest = append(rest, prefixes(cidr)...)
		}
	}
	leaving := prefixes(going)
	within := func(list []netip.Prefix, addr netip.Addr) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return slices.ContainsFunc(addresses, func(a *networkingv1.IPAddress) bool {
		addr, err := netip.ParseAddr(a.Name)
		return err == nil && within(leaving, addr) && !within(rest, addr)
	})
}

// prefixes are the ranges of a ServiceCIDR; validation lets no others in.
func prefixes(cidr *networkingv1.ServiceCIDR) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range cidr.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}
