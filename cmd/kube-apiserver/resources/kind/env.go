package kind

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/component-base/featuregate"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kubelet"
	"pilotis.dev/cmd/kube-apiserver/resources/proxied"
	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
	"pilotis.dev/pkg/api"
)

// Rules find the faults of objects: the validation library.
type Rules struct {
	Create       func(obj runtime.Object) field.ErrorList
	Update       func(obj, old runtime.Object) field.ErrorList
	StatusUpdate func(obj, old runtime.Object) field.ErrorList
	Subresource  func(name string, obj, old runtime.Object) field.ErrorList
}

// TokenIssuer answers token requests of service accounts.
type TokenIssuer interface {
	// Prepare fills what the request leaves open and refuses what contradicts its URL.
	Prepare(namespace, name string, req *authenticationv1.TokenRequest) error
	// Issue answers a prepared, valid and admitted request.
	Issue(ctx context.Context, sa *corev1.ServiceAccount, req *authenticationv1.TokenRequest, dryRun bool) (*authenticationv1.TokenRequest, error)
}

// Guard refuses roles and bindings by which a user would come to more rights than he has. old is nil on create.
type Guard interface {
	Check(ctx context.Context, obj, old runtime.Object) error
}

// Env is what the declarations build upon.
type Env struct {
	Types   *api.Types
	Options generic.RESTOptionsGetter
	Rules   Rules
	// Gates are the features that are on, and Off the fields of those that are not.
	Gates featuregate.FeatureGate
	Off   *gated.Off

	Authenticator authenticator.Request
	Audiences     authenticator.Audiences
	Authorizer    authorizer.Authorizer
	RuleResolver  authorizer.RuleResolver
	// ResourceOf finds the resource of a served kind, also of an extension.
	ResourceOf func(schema.GroupVersionKind) (string, error)
	Guard      Guard       // nil without RBAC
	Tokens     TokenIssuer // nil without a signing key

	// Kubelet reaches kubelets for logs, exec and the like.
	Kubelet *kubelet.Client
	// Proxy reaches what the proxy subresources of pods, nodes and services name.
	Proxy *http.Transport
	// Proxied is where the proxy subresources may lead.
	Proxied proxied.Rule
	// Slices finds the endpoints of a service.
	Slices proxy.EndpointSliceGetter
	// Addresses gives Services their addresses and ports.
	Addresses *serviceip.Allocator

	// EventTTL is how long an event is kept.
	EventTTL time.Duration
	// Components are the health checks that componentstatuses shows, by component.
	Components map[string]func(ctx context.Context) (message string, err error)

	stores map[schema.GroupResource]*Store
}

// Add makes a store known to Store.
func (e *Env) Add(gr schema.GroupResource, s *Store) {
	if e.stores == nil {
		e.stores = map[schema.GroupResource]*Store{}
	}
	e.stores[gr] = s
}

// Store returns the store of a resource; subresources may ask for any, because all stores are opened first.
func (e *Env) Store(group, resource string) (*Store, error) {
	gr := schema.GroupResource{Group: group, Resource: resource}
	s, ok := e.stores[gr]
	if !ok {
		return nil, fmt.Errorf("no store of %s is open", gr)
	}
	return s, nil
}
