// Package bootstraptoken authenticates the short-lived tokens by which machines join a cluster.
//
// A token "id.secret" is kept in the Secret kube-system/bootstrap-token-<id> of type bootstrap.kubernetes.io/token.
// It stands for the user system:bootstrap:<id> in group system:bootstrappers and the extra groups that the Secret names.
package bootstraptoken

import (
	"context"
	"crypto/subtle"
	"errors"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/cluster-bootstrap/token/api"
	bootstrapsecrets "k8s.io/cluster-bootstrap/util/secrets"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Secrets finds a Secret of kube-system by name.
type Secrets interface {
	Get(name string) (*corev1.Secret, error)
}

// Authenticator accepts bootstrap tokens.
type Authenticator struct {
	secrets Secrets
	clock   clock.PassiveClock
	pattern *regexp.Regexp
}

// New returns an authenticator over the Secrets of kube-system.
func New(secrets Secrets, clk clock.PassiveClock) *Authenticator {
	return &Authenticator{secrets: secrets, clock: clk, pattern: regexp.MustCompile(api.BootstrapTokenPattern)}
}

// AuthenticateToken implements authenticator.Token. Whatever is wrong with a Secret, the token is just not known;
// the log tells the administrator.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	parts := a.pattern.FindStringSubmatch(token)
	if parts == nil {
		return nil, false, nil
	}
	id, given := parts[1], parts[2]
	logger := klog.FromContext(ctx).WithValues("secret", klog.KRef("kube-system", api.BootstrapTokenSecretPrefix+id))
	secret, err := a.secrets.Get(api.BootstrapTokenSecretPrefix + id)
	if apierrors.IsNotFound(err) {
		logger.V(3).Info("No Secret for this bootstrap token")
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if err := usable(secret, id, given, a.clock); err != nil {
		logger.V(3).Info("Refused bootstrap token", "reason", err.Error())
		return nil, false, nil
	}
	groups, err := bootstrapsecrets.GetGroups(secret)
	if err != nil {
		logger.V(3).Info("Refused bootstrap token", "reason", err.Error())
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: api.BootstrapUserPrefix + id, Groups: groups}}, true, nil
}

func usable(secret *corev1.Secret, id, given string, clk clock.PassiveClock) error {
	kept := bootstrapsecrets.GetData(secret, api.BootstrapTokenSecretKey)
	switch {
	case secret.DeletionTimestamp != nil:
		return errors.New("the Secret is being deleted")
	case secret.Type != api.SecretTypeBootstrapToken:
		return errors.New("the Secret is not of type bootstrap.kubernetes.io/token")
	case subtle.ConstantTimeCompare([]byte(kept), []byte(given)) != 1:
		return errors.New("token-secret differs")
	case bootstrapsecrets.GetData(secret, api.BootstrapTokenIDKey) != id:
		return errors.New("token-id differs from the name of the Secret")
	case bootstrapsecrets.HasExpired(secret, clk.Now()):
		return errors.New("the token has expired")
	case bootstrapsecrets.GetData(secret, api.BootstrapTokenUsageAuthentication) != "true":
		return errors.New("usage-bootstrap-authentication is not true")
	}
	return nil
}
