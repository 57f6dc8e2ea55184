package core

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

func serviceAccountSubresources(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
	if env.Tokens == nil {
		return nil, nil
	}
	return map[string]rest.Storage{"token": &serviceAccountToken{accounts: store, issuer: env.Tokens, rules: env.Rules}}, nil
}

// serviceAccountToken is serviceaccounts/token: it issues a token of the account (KEP-1205).
type serviceAccountToken struct {
	accounts *kind.Store
	issuer   kind.TokenIssuer
	rules    kind.Rules
}

var (
	_ rest.NamedCreater                   = (*serviceAccountToken)(nil)
	_ rest.GroupVersionKindProvider       = (*serviceAccountToken)(nil)
	_ rest.SubresourceObjectMetaPreserver = (*serviceAccountToken)(nil)
)

// New implements rest.Storage.
func (t *serviceAccountToken) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy implements rest.Storage.
func (t *serviceAccountToken) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (t *serviceAccountToken) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of the request: it is a precondition.
func (t *serviceAccountToken) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool {
	return true
}

// Create implements rest.NamedCreater.
func (t *serviceAccountToken) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	req, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	account, err := t.accounts.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if err := t.issuer.Prepare(request.NamespaceValue(ctx), name, req); err != nil {
		return nil, err
	}
	if errs := t.rules.Subresource("token", req, nil); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), "", errs)
	}
	if admit != nil {
		if err := admit(ctx, req.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return t.issuer.Issue(ctx, account.(*corev1.ServiceAccount), req, dryrun.IsDryRun(options.DryRun))
}
