package core

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// configureServices takes addresses and ports before a service is written and gives them back after it is gone.
func configureServices(store *genericregistry.Store, env *kind.Env) error {
	if env.Addresses == nil {
		return fmt.Errorf("no allocator of service addresses")
	}
	store.BeginCreate = func(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		a, err := allocate(ctx, env.Addresses, obj.(*corev1.Service), nil, dryrun.IsDryRun(options.DryRun))
		if err != nil {
			return nil, err
		}
		return a.finish, nil
	}
	store.BeginUpdate = func(ctx context.Context, obj, old runtime.Object, options *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		s, before := obj.(*corev1.Service), old.(*corev1.Service)
		keepAllocated(s, before)
		dropOfOldType(s, before)
		a, err := allocate(ctx, env.Addresses, s, before, dryrun.IsDryRun(options.DryRun))
		if err != nil {
			return nil, err
		}
		return a.finish, nil
	}
	store.AfterDelete = func(obj runtime.Object, options *metav1.DeleteOptions) {
		s := obj.(*corev1.Service)
		if options != nil && dryrun.IsDryRun(options.DryRun) {
			return
		}
		a := &allocation{service: s, allocator: env.Addresses, freePorts: nodePortsOf(s)}
		if hasAddresses(s) {
			a.freeIPs = s.Spec.ClusterIPs
		}
		a.finish(context.Background(), true)
	}
	return nil
}

func serviceSubresources(services *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
	addresses, err := env.Store("networking.k8s.io", "ipaddresses")
	if err != nil {
		return nil, err
	}
	cidrs, err := env.Store("networking.k8s.io", "servicecidrs")
	if err != nil {
		return nil, err
	}
	env.Addresses.Use(addressObjects{addresses: addresses, cidrs: cidrs})
	return map[string]rest.Storage{"proxy": newServiceProxy(services, env)}, nil
}

// addressObjects keeps the allocator's objects in this server's own stores.
type addressObjects struct{ addresses, cidrs *kind.Store }

func (o addressObjects) CreateAddress(ctx context.Context, a *networkingv1.IPAddress) error {
	_, err := o.addresses.Create(clusterScope(ctx), a, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	return err
}

func (o addressObjects) DeleteAddress(ctx context.Context, name string, m *metav1.ObjectMeta) error {
	_, _, err := o.addresses.Delete(clusterScope(ctx), name, rest.ValidateAllObjectFunc, metav1.NewPreconditionDeleteOptions(string(m.UID)))
	return err
}

func (o addressObjects) Address(ctx context.Context, name string) (*networkingv1.IPAddress, error) {
	obj, err := o.addresses.Get(clusterScope(ctx), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*networkingv1.IPAddress), nil
}

func (o addressObjects) ServiceCIDRs(ctx context.Context) ([]networkingv1.ServiceCIDR, error) {
	obj, err := o.cidrs.List(clusterScope(ctx), &metainternalversion.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	return obj.(*networkingv1.ServiceCIDRList).Items, nil
}

// clusterScope is ctx without the namespace and the request of the service that the work is for.
func clusterScope(ctx context.Context) context.Context {
	return request.WithRequestInfo(request.WithNamespace(ctx, ""), &request.RequestInfo{
		IsResourceRequest: true, APIGroup: "networking.k8s.io", APIVersion: "v1", Resource: "ipaddresses",
	})
}
