package objects

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// A token is renewed when 80 % of its life has passed, or after a day (KEP-1205).
	renewShare = 0.8
	renewAge   = 24 * time.Hour
	// renewSpread keeps a node's pods from renewing all at once.
	renewSpread = 10 * time.Second
	// Pauses between requests that the API server does not allow yet.
	firstPause = 20 * time.Millisecond
	mostPause  = time.Second
)

// Tokens requests and keeps bound service account tokens by what they were asked for.
type Tokens struct {
	request func(ctx context.Context, namespace, name string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)
	clock   clock.PassiveClock

	mu    sync.Mutex
	cache map[tokenKey]*authenticationv1.TokenRequest
}

// tokenKey is everything that makes two requests the same.
type tokenKey struct {
	namespace, account, audiences string
	expiration                    int64
	bound                         authenticationv1.BoundObjectReference
}

// NewTokens returns a manager that asks client; nil makes each request an error that says so.
func NewTokens(client kubernetes.Interface, c clock.PassiveClock) *Tokens {
	return &Tokens{clock: c, cache: map[tokenKey]*authenticationv1.TokenRequest{},
		request: func(ctx context.Context, namespace, name string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
			if client == nil {
				return nil, fmt.Errorf("a token of service account %s/%s cannot be requested: this kubelet has no --kubeconfig", namespace, name)
			}
			return client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, tr, metav1.CreateOptions{})
		}}
}

// Token gives a token as tr asks: a kept one while it is fresh, else a new one. When the API server cannot be asked, a
// token that has not expired serves on.
func (t *Tokens) Token(ctx context.Context, namespace, account string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	key := keyOf(namespace, account, tr)
	t.mu.Lock()
	kept := t.cache[key]
	t.mu.Unlock()
	if kept != nil && !t.stale(kept) {
		return kept, nil
	}
	var fresh *authenticationv1.TokenRequest
	err := OnceAllowed(ctx, func() (err error) {
		fresh, err = t.request(ctx, namespace, account, tr)
		return err
	})
	if err != nil {
		if kept != nil && t.clock.Now().Before(kept.Status.ExpirationTimestamp.Time) {
			klog.FromContext(ctx).Error(err, "Renewing a service account token failed, the present one serves on", "namespace", namespace, "serviceAccount", account)
			return kept, nil
		}
		return nil, fmt.Errorf("failed to fetch token: %w", err)
	}
	if fresh.Spec.ExpirationSeconds == nil {
		fresh.Spec.ExpirationSeconds = tr.Spec.ExpirationSeconds
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cache[key] = fresh
	return fresh, nil
}

// OnceAllowed repeats a request for a moment while the API server forbids it, as it may not know yet that the pod is on
// this node (see retrySoon).
func OnceAllowed(ctx context.Context, request func() error) error {
	err := request()
	for pause := firstPause; apierrors.IsForbidden(err) && pause < mostPause; pause *= 2 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		err = request()
	}
	return err
}

// RefreshAt is when the token should be replaced.
func (t *Tokens) RefreshAt(tr *authenticationv1.TokenRequest) time.Time {
	expires := tr.Status.ExpirationTimestamp.Time
	if tr.Spec.ExpirationSeconds == nil {
		return expires.Add(-renewSpread)
	}
	life := time.Duration(*tr.Spec.ExpirationSeconds) * time.Second
	at := expires.Add(-life).Add(time.Duration(float64(life) * renewShare))
	if day := expires.Add(-life).Add(renewAge); day.Before(at) {
		at = day
	}
	return at
}

func (t *Tokens) stale(tr *authenticationv1.TokenRequest) bool {
	jitter := time.Duration(rand.Int64N(int64(renewSpread)))
	return t.clock.Now().After(t.RefreshAt(tr).Add(-jitter))
}

// Release forgets the tokens that are bound to the pod.
func (t *Tokens) Release(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.cache {
		if key.bound.UID == uid {
			delete(t.cache, key)
		}
	}
}

func keyOf(namespace, account string, tr *authenticationv1.TokenRequest) tokenKey {
	key := tokenKey{namespace: namespace, account: account, audiences: fmt.Sprintf("%q", tr.Spec.Audiences)}
	if tr.Spec.ExpirationSeconds != nil {
		key.expiration = *tr.Spec.ExpirationSeconds
	}
	if tr.Spec.BoundObjectRef != nil {
		key.bound = *tr.Spec.BoundObjectRef
	}
	return key
}
