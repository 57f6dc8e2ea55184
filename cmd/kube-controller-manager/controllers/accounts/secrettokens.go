package accounts

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
	"pilotis.dev/pkg/tokens"
)

// byAccount is the index of token Secrets by the namespace and name of their service account.
const byAccount = "service-account"

// TokenSecretIndexers are those that the informer of NewSecretTokens needs.
func TokenSecretIndexers() cache.Indexers {
	return cache.Indexers{byAccount: func(obj any) ([]string, error) {
		s, ok := obj.(*v1.Secret)
		if !ok {
			return nil, nil
		}
		return []string{s.Namespace + "/" + s.Annotations[v1.ServiceAccountNameKey]}, nil
	}}
}

// SecretTokens is what NewSecretTokens works with.
type SecretTokens struct {
	// Client reads Secrets and service accounts where the caches may lag, and writes.
	Client kubernetes.Interface
	// Secrets has those of the type kubernetes.io/service-account-token, with TokenSecretIndexers.
	Secrets  cache.SharedIndexInformer
	Accounts coreinformers.ServiceAccountInformer
	Signer   *tokens.Signer
	// RootCA is written into every Secret as ca.crt; empty: what is there stays.
	RootCA  []byte
	Workers int
}

type secretTokens struct {
	SecretTokens
	secrets corelisters.SecretLister
	loop    *reconcile.Controller
}

// NewSecretTokens fills Secrets of the type kubernetes.io/service-account-token with a token of the service account that their
// annotation names, and deletes them when that account is gone
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller).
func NewSecretTokens(config SecretTokens) *reconcile.Controller {
	c := &secretTokens{SecretTokens: config, secrets: corelisters.NewSecretLister(config.Secrets.GetIndexer())}
	c.loop = reconcile.New("serviceaccount_tokens_secret", reconcile.Func(c.reconcile), reconcile.Options{Workers: config.Workers})
	c.loop.Watch(config.Secrets, reconcile.ObjectKey)
	c.loop.Watch(config.Accounts.Informer(), func(obj any) []reconcile.Key {
		account, ok := obj.(*v1.ServiceAccount)
		if !ok {
			return nil
		}
		names, err := config.Secrets.GetIndexer().IndexKeys(byAccount, account.Namespace+"/"+account.Name)
		if err != nil {
			return nil
		}
		var keys []reconcile.Key
		for _, name := range names {
			namespace, name, _ := cache.SplitMetaNamespaceKey(name)
			keys = append(keys, reconcile.Key{Namespace: namespace, Name: name})
		}
		return keys
	})
	return c.loop
}

func (c *secretTokens) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	secret, err := c.secrets.Secrets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, c.unlist(ctx, key)
	}
	if err != nil || secret.DeletionTimestamp != nil {
		return reconcile.Result{}, err
	}
	account, err := c.account(ctx, secret)
	if err != nil {
		return reconcile.Result{}, err
	}
	if account == nil {
		klog.FromContext(ctx).V(2).Info("Deleting the token of a service account that is gone", "secret", klog.KObj(secret))
		options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion}}
		return reconcile.Result{}, reconcile.IgnoreNotFound(c.Client.CoreV1().Secrets(key.Namespace).Delete(ctx, key.Name, options))
	}
	filled, err := fill(secret, account, c.RootCA, c.Signer.Legacy)
	if err != nil || filled == nil {
		return reconcile.Result{}, err
	}
	written, err := c.Client.CoreV1().Secrets(key.Namespace).Update(ctx, filled, metav1.UpdateOptions{})
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	c.loop.Wrote(c.Secrets, key, written)
	return reconcile.Result{}, nil
}

// account is the one that the Secret belongs to; nil when there is none, which the cache alone cannot tell: Secret and account
// are often made in one breath.
func (c *secretTokens) account(ctx context.Context, secret *v1.Secret) (*v1.ServiceAccount, error) {
	name, uid := secret.Annotations[v1.ServiceAccountNameKey], secret.Annotations[v1.ServiceAccountUIDKey]
	is := func(a *v1.ServiceAccount) bool { return uid == "" || uid == string(a.UID) }
	if a, err := c.Accounts.Lister().ServiceAccounts(secret.Namespace).Get(name); err == nil && is(a) {
		return a, nil
	}
	a, err := c.Client.CoreV1().ServiceAccounts(secret.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || !is(a) {
		return nil, reconcile.IgnoreNotFound(err)
	}
	return a, nil
}

// fill is the Secret with what it lacks, or nil when it lacks nothing. A token that is there stays, whoever put it there.
func fill(secret *v1.Secret, account *v1.ServiceAccount, rootCA []byte, sign func(tokens.LegacyClaims) (string, error)) (*v1.Secret, error) {
	token, ca, namespace := len(secret.Data[v1.ServiceAccountTokenKey]) == 0, len(rootCA) > 0 && !bytes.Equal(secret.Data[v1.ServiceAccountRootCAKey], rootCA),
		len(secret.Data[v1.ServiceAccountNamespaceKey]) == 0
	if !token && !ca && !namespace {
		return nil, nil
	}
	out := secret.DeepCopy()
	if out.Data == nil {
		out.Data = map[string][]byte{}
	}
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	out.Annotations[v1.ServiceAccountNameKey], out.Annotations[v1.ServiceAccountUIDKey] = account.Name, string(account.UID)
	if ca {
		out.Data[v1.ServiceAccountRootCAKey] = rootCA
	}
	if namespace {
		out.Data[v1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	}
	if token {
		signed, err := sign(tokens.LegacyClaims{Namespace: secret.Namespace, ServiceAccountName: account.Name, ServiceAccountUID: string(account.UID), SecretName: secret.Name})
		if err != nil {
			return nil, fmt.Errorf("signing with --service-account-private-key-file: %w", err)
		}
		out.Data[v1.ServiceAccountTokenKey] = []byte(signed)
	}
	return out, nil
}

// unlist takes a deleted Secret out of the lists of service accounts.
func (c *secretTokens) unlist(ctx context.Context, key reconcile.Key) error {
	accounts, err := c.Accounts.Lister().ServiceAccounts(key.Namespace).List(labels.Everything())
	if err != nil {
		return err
	}
	this := func(r v1.ObjectReference) bool { return r.Name == key.Name }
	for _, a := range accounts {
		if !slices.ContainsFunc(a.Secrets, this) {
			continue
		}
		// The Secret may be there again, with another type even, which this cache does not show.
		if _, err := c.Client.CoreV1().Secrets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return err
		}
		update := a.DeepCopy()
		update.Secrets = slices.DeleteFunc(update.Secrets, this)
		if _, err := c.Client.CoreV1().ServiceAccounts(a.Namespace).Update(ctx, update, metav1.UpdateOptions{}); reconcile.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
