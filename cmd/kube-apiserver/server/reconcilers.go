package server

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/kubernetes"
)

// The ways of keeping the endpoints of the Service default/kubernetes.
const (
	leaseReconciler = "lease"
	countReconciler = "master-count"
	noReconciler    = "none"
)

// leases keeps one key with a time to live for each API server under /registry/masterleases: a server that dies is
// forgotten by etcd.
type leases struct {
	storage storage.Interface
	life    time.Duration
}

const leasesKey = "/masterleases"

// Join implements masters.
func (l *leases) Join(ctx context.Context, address string) error {
	ttl := uint64(l.life / time.Second)
	return l.storage.GuaranteedUpdate(ctx, path.Join(leasesKey, address), &corev1.Endpoints{}, true, nil,
		func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			e := obj.(*corev1.Endpoints)
			e.Subsets = []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: address}}}}
			e.Generation++ // a write that changes nothing is left out, and would not renew the life
			return e, &ttl, nil
		}, nil)
}

// Leave implements masters.
func (l *leases) Leave(ctx context.Context, address string) error {
	err := l.storage.Delete(ctx, path.Join(leasesKey, address), &corev1.Endpoints{}, nil, rejectNothing, nil, storage.DeleteOptions{})
	if storage.IsNotFound(err) {
		return nil
	}
	return err
}

func rejectNothing(context.Context, runtime.Object) error { return nil }

// Live implements masters.
func (l *leases) Live(ctx context.Context) ([]string, error) {
	list := &corev1.EndpointsList{}
	err := l.storage.GetList(ctx, leasesKey+"/", storage.ListOptions{Predicate: storage.Everything, Recursive: true}, list)
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range list.Items {
		for _, s := range list.Items[i].Subsets {
			for _, a := range s.Addresses {
				out = append(out, a.IP)
			}
		}
	}
	return out, nil
}

// counted keeps the addresses in the Endpoints object itself and trusts that there are as many servers as the flag
// says: beyond that number the oldest of the others goes.
type counted struct {
	client kubernetes.Interface
	count  int
	own    string
	left   bool
}

// Join implements masters.
func (m *counted) Join(_ context.Context, address string) error {
	m.own = address
	return nil
}

// Leave implements masters.
func (m *counted) Leave(context.Context, string) error {
	m.left = true
	return nil
}

// Live implements masters.
func (m *counted) Live(ctx context.Context) ([]string, error) {
	e, err := m.client.CoreV1().Endpoints(metav1.NamespaceDefault).Get(ctx, kubernetesName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	var out []string
	if err == nil {
		for _, s := range e.Subsets {
			for _, a := range s.Addresses {
				if a.IP != m.own {
					out = append(out, a.IP)
				}
			}
		}
	}
	if m.left {
		return out, nil
	}
	if most := m.count - 1; len(out) > most {
		slices.Sort(out)
		out = out[:most]
	}
	return append(out, m.own), nil
}

func (c *config) masters() (masters, error) {
	switch c.options.EndpointReconciler {
	case noReconciler:
		return nil, nil
	case countReconciler:
		return &counted{client: c.client, count: c.options.APIServerCount}, nil
	case leaseReconciler:
		s, err := c.rawStorage(corev1.Resource("apiServerIPInfo"), func() runtime.Object { return &corev1.Endpoints{} },
			func() runtime.Object { return &corev1.EndpointsList{} }, leasesKey)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", leasesKey, err)
		}
		return &leases{storage: s, life: endpointLife}, nil
	}
	return nil, errors.New("unknown --endpoint-reconciler-type")
}
