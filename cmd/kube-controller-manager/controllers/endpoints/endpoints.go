// Package endpoints keeps the Endpoints objects of Services with selectors, for clients that do not read EndpointSlices.
package endpoints

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/endpointslice"

	sliceskeys "pilotis.dev/cmd/kube-controller-manager/controllers/slices"
	"pilotis.dev/pkg/reconcile"
)

// maxAddresses bounds an Endpoints object; the annotation says when there are more (API reference).
const maxAddresses = 1000

// New returns the controller. Changes of pods wait for batch, to take others along.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, batch time.Duration, workers int) *reconcile.Controller {
	services, pods, endpoints := f.Core().V1().Services(), f.Core().V1().Pods(), f.Core().V1().Endpoints()
	var c *reconcile.Controller
	c = reconcile.New("endpoint", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		svc, err := services.Lister().Services(key.Namespace).Get(key.Name)
		if apierrors.IsNotFound(err) {
			err = client.CoreV1().Endpoints(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{})
			return reconcile.Result{}, ignoreNotFound(err)
		}
		if err != nil || len(svc.Spec.Selector) == 0 || svc.Spec.Type == v1.ServiceTypeExternalName {
			return reconcile.Result{}, err
		}
		selected, err := pods.Lister().Pods(svc.Namespace).List(labels.SelectorFromSet(svc.Spec.Selector))
		if err != nil {
			return reconcile.Result{}, err
		}
		want := For(svc, selected)
		have, err := endpoints.Lister().Endpoints(key.Namespace).Get(key.Name)
		if apierrors.IsNotFound(err) {
			created, err := client.CoreV1().Endpoints(key.Namespace).Create(ctx, want, metav1.CreateOptions{})
			switch {
			case apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause):
				return reconcile.Result{}, nil
			case err == nil:
				c.Wrote(endpoints.Informer(), key, created)
			}
			return reconcile.Result{}, err
		}
		if err != nil || (equality.Semantic.DeepEqual(have.Subsets, want.Subsets) && equality.Semantic.DeepEqual(have.Labels, want.Labels)) {
			return reconcile.Result{}, err
		}
		update := have.DeepCopy()
		update.Subsets, update.Labels = want.Subsets, want.Labels
		delete(update.Annotations, v1.EndpointsOverCapacity)
		for k, v := range want.Annotations {
			metav1.SetMetaDataAnnotation(&update.ObjectMeta, k, v)
		}
		written, err := client.CoreV1().Endpoints(key.Namespace).Update(ctx, update, metav1.UpdateOptions{})
		if err == nil {
			c.Wrote(endpoints.Informer(), key, written)
		}
		return reconcile.Result{}, err
	}), reconcile.Options{Workers: workers})
	c.Watch(services.Informer(), func(obj any) []reconcile.Key {
		if s, ok := obj.(*v1.Service); ok {
			return []reconcile.Key{{Namespace: s.Namespace, Name: s.Name}}
		}
		return nil
	})
	c.WatchBatched(pods.Informer(), batch, func(obj any) []reconcile.Key { return sliceskeys.SelectedBy(f, obj) })
	c.Watch(endpoints.Informer(), func(obj any) []reconcile.Key {
		e, ok := obj.(*v1.Endpoints)
		if !ok {
			return nil
		}
		if _, err := endpoints.Lister().Endpoints(e.Namespace).Get(e.Name); !apierrors.IsNotFound(err) {
			return nil
		}
		if _, err := services.Lister().Services(e.Namespace).Get(e.Name); err != nil {
			return nil // they went with their Service
		}
		return []reconcile.Key{{Namespace: e.Namespace, Name: e.Name}}
	})
	return c
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// For makes the Endpoints of a Service from the pods that it selects. Addresses that would lead into a node itself,
// loopback and link-local ones, are left out (CVE-2021-25737).
func For(svc *v1.Service, pods []*v1.Pod) *v1.Endpoints {
	e := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: svc.Name, Namespace: svc.Namespace, Labels: map[string]string{}}}
	for k, v := range svc.Labels {
		e.Labels[k] = v
	}
	e.Labels["endpoints.kubernetes.io/managed-by"] = "endpoint-controller"
	if svc.Spec.ClusterIP == v1.ClusterIPNone {
		e.Labels[v1.IsHeadlessService] = ""
	}
	pods = slices.SortedFunc(slices.Values(pods), func(a, b *v1.Pod) int { return strings.Compare(a.Name, b.Name) })
	count := 0
	for _, p := range pods {
		ip, ok := address(svc, p)
		if !ok || (p.DeletionTimestamp != nil && !svc.Spec.PublishNotReadyAddresses) || p.Status.Phase == v1.PodFailed || p.Status.Phase == v1.PodSucceeded {
			continue
		}
		if count++; count > maxAddresses {
			e.Annotations = map[string]string{v1.EndpointsOverCapacity: "truncated"}
			break
		}
		a := v1.EndpointAddress{IP: ip, NodeName: &p.Spec.NodeName, TargetRef: &v1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID}}
		if p.Spec.Hostname != "" && p.Spec.Subdomain == svc.Name && p.Namespace == svc.Namespace {
			a.Hostname = p.Spec.Hostname
		}
		ports := portsOf(svc, p)
		if len(ports) == 0 && len(svc.Spec.Ports) > 0 {
			continue
		}
		place(e, a, ports, ready(p) || svc.Spec.PublishNotReadyAddresses)
	}
	return e
}

func address(svc *v1.Service, p *v1.Pod) (string, bool) {
	six := len(svc.Spec.IPFamilies) > 0 && svc.Spec.IPFamilies[0] == v1.IPv6Protocol
	for _, candidate := range p.Status.PodIPs {
		ip, err := netip.ParseAddr(candidate.IP)
		if err == nil && ip.Is6() == six && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified() {
			return candidate.IP, true
		}
	}
	return "", false
}

func portsOf(svc *v1.Service, p *v1.Pod) []v1.EndpointPort {
	var out []v1.EndpointPort
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		number, err := endpointslice.FindPort(p, port)
		if err != nil {
			continue
		}
		out = append(out, v1.EndpointPort{Name: port.Name, Port: int32(number), Protocol: port.Protocol, AppProtocol: port.AppProtocol})
	}
	return out
}

// place puts the address into the subset with the same ports.
func place(e *v1.Endpoints, a v1.EndpointAddress, ports []v1.EndpointPort, ready bool) {
	i := slices.IndexFunc(e.Subsets, func(s v1.EndpointSubset) bool { return equality.Semantic.DeepEqual(s.Ports, ports) })
	if i < 0 {
		e.Subsets = append(e.Subsets, v1.EndpointSubset{Ports: ports})
		i = len(e.Subsets) - 1
	}
	if ready {
		e.Subsets[i].Addresses = append(e.Subsets[i].Addresses, a)
	} else {
		e.Subsets[i].NotReadyAddresses = append(e.Subsets[i].NotReadyAddresses, a)
	}
}

func ready(p *v1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == v1.PodReady && c.Status == v1.ConditionTrue })
}
