package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
)

// defaultServiceCIDR is the name of the object that stands for --service-cluster-ip-range.
const defaultServiceCIDR = "kubernetes"

// keepDefaultServiceCIDR makes the ranges of the flags visible as an object (KEP-1880).
func keepDefaultServiceCIDR(client kubernetes.Interface, ranges []netip.Prefix) genericapiserver.PostStartHookFunc {
	texts := make([]string, len(ranges))
	for i, r := range ranges {
		texts[i] = r.String()
	}
	return func(hook genericapiserver.PostStartHookContext) error {
		return untilDone(hook, "servicecidr "+defaultServiceCIDR, func(ctx context.Context) error {
			api := client.NetworkingV1().ServiceCIDRs()
			have, err := api.Get(ctx, defaultServiceCIDR, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				have, err = api.Create(ctx, &networkingv1.ServiceCIDR{
					ObjectMeta: metav1.ObjectMeta{Name: defaultServiceCIDR}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: texts},
				}, metav1.CreateOptions{})
			}
			if err != nil {
				return err
			}
			if fmt.Sprint(have.Spec.CIDRs) != fmt.Sprint(texts) {
				if len(have.Spec.CIDRs) == 1 && len(texts) == 2 && have.Spec.CIDRs[0] == texts[0] { // the cluster became dual stack
					update := have.DeepCopy()
					update.Spec.CIDRs = texts
					if have, err = api.Update(ctx, update, metav1.UpdateOptions{}); err != nil {
						return err
					}
				} else {
					klog.FromContext(ctx).Info("The ServiceCIDR kubernetes has other ranges than --service-cluster-ip-range", "object", have.Spec.CIDRs, "flag", texts)
				}
			}
			if apimeta.IsStatusConditionTrue(have.Status.Conditions, networkingv1.ServiceCIDRConditionReady) || have.DeletionTimestamp != nil {
				return nil
			}
			update := have.DeepCopy()
			apimeta.SetStatusCondition(&update.Status.Conditions, metav1.Condition{
				Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, Reason: "DefaultServiceCIDRReady",
				Message: "Kubernetes default Service CIDR is ready",
			})
			_, err = api.UpdateStatus(ctx, update, metav1.UpdateOptions{})
			return err
		})
	}
}

const (
	// repairInterval is how often the books of addresses and ports are compared with the services.
	repairInterval = 3 * time.Minute
	// addressGrace is how long an address may wait for the service that it was taken for.
	addressGrace = time.Minute
)

// repairServices makes the books of addresses and node ports agree with the services that exist, at the start and from
// time to time: a server that is killed between two writes leaves them apart, and so does who deletes an IPAddress.
func (c *config) repairServices(hook genericapiserver.PostStartHookContext) error {
	var left []int32 // ports without a service
	if err := untilDone(hook, "books of service addresses and ports", func(ctx context.Context) (err error) {
		if left, err = c.ports.Repair(ctx, nil, c.usedPorts); err != nil {
			return err
		}
		return repairAddresses(ctx, c.client, time.Now())
	}); err != nil {
		return err
	}
	go func() {
		for {
			select {
			case <-time.After(repairInterval):
			case <-hook.Done():
				return
			}
			var err error
			left, err = c.ports.Repair(hook, left, c.usedPorts)
			if err := errors.Join(err, repairAddresses(hook, c.client, time.Now())); err != nil && hook.Err() == nil {
				klog.FromContext(hook).Error(err, "Books of service addresses and ports not repaired")
			}
		}
	}()
	return nil
}

// usedPorts are the node ports of all services.
func (c *config) usedPorts(ctx context.Context) ([]int32, error) {
	services, err := c.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var used []int32
	for i := range services.Items {
		used = append(used, services.Items[i].Spec.HealthCheckNodePort)
		for _, p := range services.Items[i].Spec.Ports {
			used = append(used, p.NodePort)
		}
	}
	return used, nil
}

func repairAddresses(ctx context.Context, client kubernetes.Interface, now time.Time) error {
	// Addresses first: a service that comes between the two lists must not lose its address.
	addresses, err := client.NetworkingV1().IPAddresses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	services, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	booked := make(map[string]*networkingv1.IPAddress, len(addresses.Items))
	for i := range addresses.Items {
		booked[addresses.Items[i].Name] = &addresses.Items[i]
	}
	used := map[string]bool{}
	for i := range services.Items {
		s := &services.Items[i]
		for _, ip := range s.Spec.ClusterIPs {
			addr, err := netip.ParseAddr(ip)
			if err != nil {
				continue // None
			}
			used[addr.String()] = true
			if booked[addr.String()] != nil {
				continue
			}
			_, err = client.NetworkingV1().IPAddresses().Create(ctx, serviceip.AddressFor(s, addr), metav1.CreateOptions{})
			if err := ignore(err, apierrors.IsAlreadyExists); err != nil {
				return err
			}
			klog.FromContext(ctx).Info("Address of a service was not booked", "service", klog.KObj(s), "address", ip)
		}
	}
	for name, a := range booked {
		young := now.Sub(a.CreationTimestamp.Time) < addressGrace
		if used[name] || young || a.Labels[networkingv1.LabelManagedBy] != serviceip.ManagedBy || !orphaned(ctx, client, a) {
			continue
		}
		err := client.NetworkingV1().IPAddresses().Delete(ctx, name, *metav1.NewPreconditionDeleteOptions(string(a.UID)))
		if err := ignore(err, apierrors.IsNotFound); err != nil {
			return err
		}
		klog.FromContext(ctx).Info("Address of no service was booked", "address", name)
	}
	return nil
}

// orphaned looks once more: the service may have been made after the list.
func orphaned(ctx context.Context, client kubernetes.Interface, a *networkingv1.IPAddress) bool {
	if a.Spec.ParentRef == nil {
		return true
	}
	s, err := client.CoreV1().Services(a.Spec.ParentRef.Namespace).Get(ctx, a.Spec.ParentRef.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true
	}
	if err != nil {
		return false
	}
	return !hasIP(s, a.Name)
}

func hasIP(s *corev1.Service, name string) bool {
	for _, ip := range s.Spec.ClusterIPs {
		if addr, err := netip.ParseAddr(ip); err == nil && addr.String() == name {
			return true
		}
	}
	return false
}
