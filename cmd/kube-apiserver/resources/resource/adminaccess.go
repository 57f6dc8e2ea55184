package resource

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// adminAccess keeps admin access to devices in the namespaces that are labelled for it (KEP-5018).
type adminAccess struct {
	namespace func(ctx context.Context, name string) (*corev1.Namespace, error)
}

// configure is a kind's Configure. The store of namespaces is asked for late, because stores open in any order.
func (a *adminAccess) configure(_ *genericregistry.Store, env *kind.Env) error {
	a.namespace = func(ctx context.Context, name string) (*corev1.Namespace, error) {
		store, err := env.Store("", "namespaces")
		if err != nil {
			return nil, err
		}
		obj, err := store.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*corev1.Namespace), nil
	}
	return nil
}

// requested checks the requests of a new claim or template; those of an old one are immutable.
func (a *adminAccess) requested(ctx context.Context, namespace string, requests []resourcev1.DeviceRequest, p *field.Path) field.ErrorList {
	for i, r := range requests { // alternatives of firstAvailable have no admin access
		if r.Exactly != nil && isTrue(r.Exactly.AdminAccess) {
			return a.allowed(ctx, namespace, p.Index(i).Child("exactly", "adminAccess"))
		}
	}
	return nil
}

// granted checks an allocation, unless admin access was granted before.
func (a *adminAccess) granted(ctx context.Context, namespace string, now, before *resourcev1.AllocationResult) field.ErrorList {
	if firstAdmin(before) >= 0 {
		return nil
	}
	i := firstAdmin(now)
	if i < 0 {
		return nil
	}
	return a.allowed(ctx, namespace, field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess"))
}

func (a *adminAccess) allowed(ctx context.Context, namespace string, p *field.Path) field.ErrorList {
	ns, err := a.namespace(ctx, namespace)
	switch {
	case err != nil:
		return field.ErrorList{field.Forbidden(p, fmt.Sprintf("reading the labels of namespace %s: %v", namespace, err))}
	case ns.Labels[resourcev1.DRAAdminNamespaceLabelKey] != "true":
		return field.ErrorList{field.Forbidden(p, fmt.Sprintf("admin access to devices requires the `%s: true` label on the containing namespace", resourcev1.DRAAdminNamespaceLabelKey))}
	}
	return nil
}

// firstAdmin is the index of the first result with admin access, or -1.
func firstAdmin(r *resourcev1.AllocationResult) int {
	if r != nil {
		for i := range r.Devices.Results {
			if isTrue(r.Devices.Results[i].AdminAccess) {
				return i
			}
		}
	}
	return -1
}

func isTrue(b *bool) bool { return b != nil && *b }
