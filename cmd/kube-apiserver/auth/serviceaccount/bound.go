package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	apiserviceaccount "k8s.io/apiserver/pkg/authentication/serviceaccount"
	tokenjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// errInvalidated is all that a client learns of why its token is no longer good; the log says more.
var errInvalidated = errors.New("service account token has been invalidated")

// errExpired is the answer to a token that is past its exp claim.
var errExpired = errors.New("service account token has expired")

// staleAnnotation marks in the audit log the use of a token that should have been rotated (KEP-1205).
const staleAnnotation = "authentication.k8s.io/stale-token"

// NewBoundAuthenticator accepts tokens from the TokenRequest API. The first issuer signs new tokens; the others are
// those of earlier times, whose tokens are good until they expire.
func NewBoundAuthenticator(issuers []string, keys *Keys, audiences authenticator.Audiences, lookup *Lookup, clk clock.PassiveClock, m *Metrics) *Authenticator {
	known := make(map[string]bool, len(issuers))
	for _, i := range issuers {
		known[i] = true
	}
	b := &boundValidator{lookup: lookup, clock: clk, metrics: m}
	return &Authenticator{issuers: known, keys: keys, audiences: audiences, validate: b.validate}
}

type boundValidator struct {
	lookup  *Lookup
	clock   clock.PassiveClock
	metrics *Metrics
}

func (v *boundValidator) validate(ctx context.Context, _ string, registered *jwt.Claims, private *privateClaims) (*apiserviceaccount.ServiceAccountInfo, error) {
	now := v.clock.Now()
	switch err := registered.Validate(jwt.Expected{Time: now}); {
	case err == nil:
	case errors.Is(err, jwt.ErrExpired):
		return nil, errExpired
	case errors.Is(err, jwt.ErrNotValidYet):
		return nil, errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return nil, errors.New("service account token is issued in the future")
	default:
		return nil, fmt.Errorf("service account token claims could not be validated: %w", err)
	}
	claims := private.Kubernetes
	if claims == nil || claims.Namespace == "" || claims.ServiceAccount.Name == "" {
		return nil, errors.New("service account token names no service account")
	}
	if registered.Expiry == nil {
		return nil, errors.New("service account token has no expiry")
	}
	info := &apiserviceaccount.ServiceAccountInfo{
		Namespace:    claims.Namespace,
		Name:         claims.ServiceAccount.Name,
		UID:          claims.ServiceAccount.UID,
		CredentialID: tokenjwt.CredentialIDForJTI(registered.ID),
	}
	if err := v.boundObjects(ctx, claims, now.Add(-jwt.DefaultLeeway), info); err != nil {
		return nil, err
	}
	v.age(ctx, registered, claims, now)
	return info, nil
}

// boundObjects checks that what the token depends on still exists. Objects that are being deleted count as gone a
// leeway after they should be, so that a pod may still use its token while it stops.
func (v *boundValidator) boundObjects(ctx context.Context, c *boundClaims, goneBefore time.Time, info *apiserviceaccount.ServiceAccountInfo) error {
	logger := klog.FromContext(ctx)
	check := func(kind string, r *ref, meta metav1.Object, err error, uidRequired bool) error {
		switch {
		case err != nil:
			if !apierrors.IsNotFound(err) {
				return fmt.Errorf("looking up %s %s of service account token: %w", kind, r.Name, err)
			}
			logger.V(4).Info("Refused token of a missing object", "kind", kind, "namespace", c.Namespace, "name", r.Name)
			return errInvalidated
		case (uidRequired || r.UID != "") && string(meta.GetUID()) != r.UID:
			logger.V(4).Info("Refused token of a former object of this name", "kind", kind, "namespace", c.Namespace, "name", r.Name, "uid", meta.GetUID(), "claim", r.UID)
			return fmt.Errorf("%s UID (%s) does not match claim (%s)", kind, meta.GetUID(), r.UID)
		case meta.GetDeletionTimestamp() != nil && meta.GetDeletionTimestamp().Time.Before(goneBefore):
			logger.V(4).Info("Refused token of a deleted object", "kind", kind, "namespace", c.Namespace, "name", r.Name)
			return errInvalidated
		}
		return nil
	}
	sa, err := v.lookup.ServiceAccount(ctx, c.Namespace, c.ServiceAccount.Name, c.ServiceAccount.UID)
	if err := check("service account", &c.ServiceAccount, sa, err, true); err != nil {
		return err
	}
	if c.Secret != nil {
		secret, err := v.lookup.Secret(ctx, c.Namespace, c.Secret.Name)
		if err := check("secret", c.Secret, secret, err, true); err != nil {
			return err
		}
	}
	if c.Pod != nil {
		pod, err := v.lookup.Pod(ctx, c.Namespace, c.Pod.Name, c.Pod.UID)
		if err := check("pod", c.Pod, pod, err, true); err != nil {
			return err
		}
		info.PodName, info.PodUID = c.Pod.Name, c.Pod.UID
	}
	if c.Node != nil {
		// A pod's token names its node for information only: it is the pod's end that ends it.
		if c.Pod == nil {
			node, err := v.lookup.Node(ctx, c.Node.Name, c.Node.UID)
			if err := check("node", c.Node, node, err, true); err != nil {
				return err
			}
		}
		info.NodeName, info.NodeUID = c.Node.Name, c.Node.UID
	}
	return nil
}

// age counts the token and marks one that its user should have replaced by now.
func (v *boundValidator) age(ctx context.Context, registered *jwt.Claims, c *boundClaims, now time.Time) {
	if c.WarnAfter == nil || !now.After(c.WarnAfter.Time()) || registered.IssuedAt == nil {
		v.metrics.valid.WithContext(ctx).Inc()
		return
	}
	v.metrics.stale.WithContext(ctx).Inc()
	seconds := int64(now.Sub(registered.IssuedAt.Time()).Seconds())
	audit.AddAuditAnnotation(ctx, staleAnnotation,
		fmt.Sprintf("subject: %s, seconds after warning threshold: %d", registered.Subject, seconds-int64(c.WarnAfter.Time().Sub(registered.IssuedAt.Time()).Seconds())))
}
