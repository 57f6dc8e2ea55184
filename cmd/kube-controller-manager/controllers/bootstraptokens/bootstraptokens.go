// Package bootstraptokens signs the cluster-info ConfigMap with every bootstrap token that may sign, and deletes
// tokens that have expired.
package bootstraptokens

import (
	"context"
	"maps"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/cluster-bootstrap/token/jws"

	"pilotis.dev/pkg/reconcile"
)

// TokenFields select the Secrets of bootstrap tokens, which live in kube-system.
const TokenFields = "type=" + string(bootstrapapi.SecretTypeBootstrapToken)

// ClusterInfoFields select the ConfigMap that is signed, which lives in kube-public.
const ClusterInfoFields = "metadata.name=" + bootstrapapi.ConfigMapClusterInfo

func isToken(obj any) []reconcile.Key {
	if s, ok := obj.(*v1.Secret); ok && s.Namespace == metav1.NamespaceSystem && s.Type == bootstrapapi.SecretTypeBootstrapToken {
		return []reconcile.Key{{Namespace: s.Namespace, Name: s.Name}}
	}
	return nil
}

// expiry is when the token ends; false: never.
func expiry(s *v1.Secret) (time.Time, bool) {
	text := string(s.Data[bootstrapapi.BootstrapTokenExpirationKey])
	if text == "" {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, true // malformed: it counts as expired
	}
	return t, true
}

// NewCleaner deletes tokens when they expire. tokens has the Secrets of TokenFields.
func NewCleaner(tokens cache.SharedIndexInformer, client kubernetes.Interface) *reconcile.Controller {
	secrets := corelisters.NewSecretLister(tokens.GetIndexer())
	c := reconcile.New("token_cleaner", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		s, err := secrets.Secrets(key.Namespace).Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		end, ends := expiry(s)
		if !ends {
			return reconcile.Result{}, nil
		}
		if left := time.Until(end); left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
		return reconcile.Result{}, reconcile.IgnoreNotFound(client.CoreV1().Secrets(key.Namespace).Delete(ctx, key.Name, *metav1.NewRVDeletionPrecondition(s.ResourceVersion)))
	}), reconcile.Options{})
	c.Watch(tokens, isToken)
	return c
}

// clusterInfo is the one key of the signer.
var clusterInfo = reconcile.Key{Namespace: metav1.NamespacePublic, Name: bootstrapapi.ConfigMapClusterInfo}

// NewSigner keeps a JWS of the cluster-info kubeconfig for each token with usage-bootstrap-signing. tokens has the Secrets of
// TokenFields, info the ConfigMap of ClusterInfoFields.
func NewSigner(tokens, info cache.SharedIndexInformer, client kubernetes.Interface) *reconcile.Controller {
	secrets, configMaps := corelisters.NewSecretLister(tokens.GetIndexer()), corelisters.NewConfigMapLister(info.GetIndexer())
	c := reconcile.New("bootstrap_signer_queue", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		have, err := configMaps.ConfigMaps(key.Namespace).Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		all, err := secrets.Secrets(metav1.NamespaceSystem).List(labels.Everything())
		if err != nil {
			return reconcile.Result{}, err
		}
		now := time.Now()
		want, err := signatures(have.Data, all, now)
		if err != nil {
			return reconcile.Result{}, err
		}
		again := reconcile.Result{RequeueAfter: nextExpiry(all, now)}
		if maps.Equal(have.Data, want) {
			return again, nil
		}
		update := have.DeepCopy()
		update.Data = want
		_, err = client.CoreV1().ConfigMaps(key.Namespace).Update(ctx, update, metav1.UpdateOptions{})
		return again, err
	}), reconcile.Options{})
	c.Watch(tokens, func(obj any) []reconcile.Key {
		if isToken(obj) == nil {
			return nil
		}
		return []reconcile.Key{clusterInfo}
	})
	c.Watch(info, func(obj any) []reconcile.Key {
		if m, ok := obj.(*v1.ConfigMap); ok && m.Namespace == clusterInfo.Namespace && m.Name == clusterInfo.Name {
			return []reconcile.Key{clusterInfo}
		}
		return nil
	})
	return c
}

// nextExpiry is when the next token ends; 0: none does. Its signature goes then, even where no cleaner runs.
func nextExpiry(secrets []*v1.Secret, now time.Time) time.Duration {
	var next time.Duration
	for _, s := range secrets {
		if end, ends := expiry(s); ends && end.After(now) && (next == 0 || end.Sub(now) < next) {
			next = end.Sub(now)
		}
	}
	return next
}

// signatures is data with the signatures of the present tokens and no others.
func signatures(data map[string]string, secrets []*v1.Secret, now time.Time) (map[string]string, error) {
	content, ok := data[bootstrapapi.KubeConfigKey]
	if !ok {
		return data, nil
	}
	out := map[string]string{}
	for k, v := range data {
		if !strings.HasPrefix(k, bootstrapapi.JWSSignatureKeyPrefix) {
			out[k] = v
		}
	}
	for _, s := range secrets {
		end, ends := expiry(s)
		if isToken(s) == nil || string(s.Data[bootstrapapi.BootstrapTokenUsageSigningKey]) != "true" || (ends && !end.After(now)) {
			continue
		}
		id, secret := string(s.Data[bootstrapapi.BootstrapTokenIDKey]), string(s.Data[bootstrapapi.BootstrapTokenSecretKey])
		if id == "" || secret == "" || s.Name != bootstrapapi.BootstrapTokenSecretPrefix+id {
			continue
		}
		signature, err := jws.ComputeDetachedSignature(content, id, secret)
		if err != nil {
			return nil, err
		}
		out[bootstrapapi.JWSSignatureKeyPrefix+id] = signature
	}
	return out, nil
}
