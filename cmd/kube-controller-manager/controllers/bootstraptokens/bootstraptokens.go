// Package bootstraptokens signs the cluster-info ConfigMap with every bootstrap token that may sign, and deletes
// tokens that have expired.
package bootstraptokens

import (
	"context"
	"maps"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/cluster-bootstrap/token/jws"

	"pilotis.dev/pkg/reconcile"
)

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

// NewCleaner deletes tokens when they expire.
func NewCleaner(f informers.SharedInformerFactory, client kubernetes.Interface) *reconcile.Controller {
	secrets := f.Core().V1().Secrets()
	c := reconcile.New("token_cleaner", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		s, err := secrets.Lister().Secrets(key.Namespace).Get(key.Name)
		if err != nil {
			return reconcile.Result{}, ignoreNotFound(err)
		}
		end, ends := expiry(s)
		if !ends {
			return reconcile.Result{}, nil
		}
		if left := time.Until(end); left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
		return reconcile.Result{}, ignoreNotFound(client.CoreV1().Secrets(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))}))
	}), reconcile.Options{})
	c.Watch(secrets.Informer(), isToken)
	return c
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// clusterInfo is the one key of the signer.
var clusterInfo = reconcile.Key{Namespace: metav1.NamespacePublic, Name: bootstrapapi.ConfigMapClusterInfo}

// NewSigner keeps a JWS of the cluster-info kubeconfig for each token with usage-bootstrap-signing.
func NewSigner(f informers.SharedInformerFactory, client kubernetes.Interface) *reconcile.Controller {
	secrets, configMaps := f.Core().V1().Secrets(), f.Core().V1().ConfigMaps()
	c := reconcile.New("bootstrap_signer_queue", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		have, err := configMaps.Lister().ConfigMaps(key.Namespace).Get(key.Name)
		if err != nil {
			return reconcile.Result{}, ignoreNotFound(err)
		}
		all, err := secrets.Lister().Secrets(metav1.NamespaceSystem).List(labels.Everything())
		if err != nil {
			return reconcile.Result{}, err
		}
		want, err := signatures(have.Data, all, time.Now())
		if err != nil || maps.Equal(have.Data, want) {
			return reconcile.Result{}, err
		}
		update := have.DeepCopy()
		update.Data = want
		_, err = client.CoreV1().ConfigMaps(key.Namespace).Update(ctx, update, metav1.UpdateOptions{})
		return reconcile.Result{}, err
	}), reconcile.Options{})
	c.Watch(secrets.Informer(), func(obj any) []reconcile.Key {
		if isToken(obj) == nil {
			return nil
		}
		return []reconcile.Key{clusterInfo}
	})
	c.Watch(configMaps.Informer(), func(obj any) []reconcile.Key {
		if m, ok := obj.(*v1.ConfigMap); ok && m.Namespace == clusterInfo.Namespace && m.Name == clusterInfo.Name {
			return []reconcile.Key{clusterInfo}
		}
		return nil
	})
	return c
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
