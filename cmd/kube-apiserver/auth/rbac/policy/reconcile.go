package policy

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/klog/v2"
)

// HookName is the name under which /readyz reports that the Roles exist.
const HookName = "rbac/bootstrap-roles"

// writers bounds the writes under way at once: enough to hide the latency of storage, few enough not to crowd it.
const writers = 8

// Hook brings the default policy about before the server is ready. It gives up after half a minute, because a
// cluster without these Roles does not work, and a restart may.
func Hook(client kubernetes.Interface) genericapiserver.PostStartHookFunc {
	return func(hc genericapiserver.PostStartHookContext) error {
		logger := klog.FromContext(hc)
		want := Default()
		var last error
		err := wait.PollUntilContextTimeout(hc, time.Second, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			if last = want.Reconcile(ctx, client); last != nil {
				logger.Error(last, "Could not bring all default roles about yet")
			}
			return last == nil, nil
		})
		if err != nil && hc.Err() == nil {
			return fmt.Errorf("unable to initialize roles: %w", last)
		}
		return nil
	}
}

// Reconcile adds what is missing. Several servers may do so at once: who loses a race starts over from what is there.
func (p *Policy) Reconcile(ctx context.Context, client kubernetes.Interface) error {
	api := client.RbacV1()
	roles, err := listByName(ctx, api.ClusterRoles().List, func(l *rbacv1.ClusterRoleList) []rbacv1.ClusterRole { return l.Items })
	if err != nil {
		return fmt.Errorf("listing ClusterRoles: %w", err)
	}
	bindings, err := listByName(ctx, api.ClusterRoleBindings().List, func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })
	if err != nil {
		return fmt.Errorf("listing ClusterRoleBindings: %w", err)
	}
	var work errgroup.Group
	work.SetLimit(writers)
	for i := range p.ClusterRoles {
		want := p.ClusterRoles[i].DeepCopy()
		work.Go(func() error {
			known := knownClusterRoles{api.ClusterRoles(), roles}
			return retry("ClusterRole", want.Name, func(fresh bool) error {
				o := reconciliation.ReconcileRoleOptions{Role: reconciliation.ClusterRoleRuleOwner{ClusterRole: want.DeepCopy()}, Confirm: true}
				o.Client = reconciliation.ClusterRoleModifier{Client: pick[rbacclient.ClusterRoleInterface](fresh, api.ClusterRoles(), known)}
				_, err := o.Run()
				return err
			})
		})
	}
	for i := range p.ClusterRoleBindings {
		want := p.ClusterRoleBindings[i].DeepCopy()
		work.Go(func() error {
			known := knownClusterRoleBindings{api.ClusterRoleBindings(), bindings}
			return retry("ClusterRoleBinding", want.Name, func(fresh bool) error {
				o := reconciliation.ReconcileRoleBindingOptions{RoleBinding: reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: want.DeepCopy()}, Confirm: true}
				o.Client = reconciliation.ClusterRoleBindingClientAdapter{Client: pick[rbacclient.ClusterRoleBindingInterface](fresh, api.ClusterRoleBindings(), known)}
				_, err := o.Run()
				return err
			})
		})
	}
	for i := range p.Roles {
		want := p.Roles[i].DeepCopy()
		work.Go(func() error {
			return retry("Role", want.Namespace+"/"+want.Name, func(bool) error {
				o := reconciliation.ReconcileRoleOptions{Role: reconciliation.RoleRuleOwner{Role: want.DeepCopy()}, Confirm: true}
				o.Client = reconciliation.RoleModifier{Client: api, NamespaceClient: client.CoreV1().Namespaces()}
				_, err := o.Run()
				return err
			})
		})
	}
	for i := range p.RoleBindings {
		want := p.RoleBindings[i].DeepCopy()
		work.Go(func() error {
			return retry("RoleBinding", want.Namespace+"/"+want.Name, func(bool) error {
				o := reconciliation.ReconcileRoleBindingOptions{RoleBinding: reconciliation.RoleBindingAdapter{RoleBinding: want.DeepCopy()}, Confirm: true}
				o.Client = reconciliation.RoleBindingClientAdapter{Client: api, NamespaceClient: client.CoreV1().Namespaces()}
				_, err := o.Run()
				return err
			})
		})
	}
	return work.Wait()
}

// retry runs step, and again on fresh state when another writer was first.
func retry(kind, name string, step func(fresh bool) error) error {
	var err error
	for attempt := range 4 {
		if err = step(attempt > 0); err == nil || !(apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("reconciling %s %s: %w", kind, name, err)
	}
	return nil
}

func pick[T any](fresh bool, live, known T) T {
	if fresh {
		return live
	}
	return known
}

// listByName returns all objects of a kind by name.
func listByName[L any, T any](ctx context.Context, list func(context.Context, metav1.ListOptions) (*L, error), items func(*L) []T) (map[string]*T, error) {
	l, err := list(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := items(l)
	out := make(map[string]*T, len(all))
	for i := range all {
		out[any(&all[i]).(metav1.Object).GetName()] = &all[i]
	}
	return out, nil
}

// knownClusterRoles answers Get from one list: a start with everything in place costs no request an object.
type knownClusterRoles struct {
	rbacclient.ClusterRoleInterface
	known map[string]*rbacv1.ClusterRole
}

// Get returns what the list had.
func (k knownClusterRoles) Get(_ context.Context, name string, _ metav1.GetOptions) (*rbacv1.ClusterRole, error) {
	if r, ok := k.known[name]; ok {
		return r.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterroles"), name)
}

type knownClusterRoleBindings struct {
	rbacclient.ClusterRoleBindingInterface
	known map[string]*rbacv1.ClusterRoleBinding
}

// Get returns what the list had.
func (k knownClusterRoleBindings) Get(_ context.Context, name string, _ metav1.GetOptions) (*rbacv1.ClusterRoleBinding, error) {
	if r, ok := k.known[name]; ok {
		return r.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterrolebindings"), name)
}
