package podcertificates

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"pilotis.dev/cmd/kubelet/objects"
)

// request is a PodCertificateRequest under way, with the key that it is for.
type request struct {
	name   string
	signer string
	key    crypto.Signer
	stop   context.CancelFunc

	done   chan struct{} // closed when the signer answered
	answer *certificatesv1.PodCertificateRequest
	err    error // the request is gone, or cannot be watched
}

// ask makes a key and requests a certificate for it in the pod's name.
func (m *Manager) ask(ctx context.Context, pod *v1.Pod, p *v1.PodCertificateProjection) (*request, error) {
	node := m.Node()
	if node == nil {
		return nil, errors.New("a pod certificate cannot be requested: the API server does not know this node yet")
	}
	if pod.Spec.ServiceAccountName == "" {
		return nil, errors.New("a pod certificate cannot be requested: the pod has no service account, as static pods have none")
	}
	key, err := newKey(p.KeyType)
	if err != nil {
		return nil, err
	}
	stub, err := stubRequest(key)
	if err != nil {
		return nil, err
	}
	var made *certificatesv1.PodCertificateRequest
	err = objects.OnceAllowed(ctx, func() error {
		account, err := m.Client.CoreV1().ServiceAccounts(pod.Namespace).Get(ctx, pod.Spec.ServiceAccountName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		made, err = m.Client.CertificatesV1().PodCertificateRequests(pod.Namespace).Create(ctx, &certificatesv1.PodCertificateRequest{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "req-" + pod.Name + "-", Namespace: pod.Namespace, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}}},
			Spec: certificatesv1.PodCertificateRequestSpec{
				SignerName: p.SignerName, PodName: pod.Name, PodUID: pod.UID, ServiceAccountName: account.Name, ServiceAccountUID: account.UID,
				NodeName: types.NodeName(node.Name), NodeUID: node.UID, MaxExpirationSeconds: p.MaxExpirationSeconds,
				StubPKCS10Request: stub, UnverifiedUserAnnotations: p.UserAnnotations,
			},
		}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to request a certificate of signer %q: %w", p.SignerName, err)
	}
	watchCtx, stop := context.WithCancel(m.ctx)
	r := &request{name: made.Name, signer: p.SignerName, key: key, stop: stop, done: make(chan struct{})}
	go m.await(watchCtx, r, made, pod.UID)
	return r, nil
}

// await watches the request until the signer answered or it is gone, and wakes the pod.
func (m *Manager) await(ctx context.Context, r *request, made *certificatesv1.PodCertificateRequest, pod types.UID) {
	defer r.stop()
	client := m.Client.CertificatesV1().PodCertificateRequests(made.Namespace)
	only := fields.Set{metav1.ObjectNameField: made.Name, "spec.nodeName": string(made.Spec.NodeName)}.AsSelector().String()
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			if o.ResourceVersion == "0" {
				o.ResourceVersion = made.ResourceVersion // an older list would not have it
			}
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return client.Watch(ctx, o)
		},
	}, m.Client)
	there := func(store cache.Store) (bool, error) {
		if len(store.List()) == 0 {
			return false, errGone
		}
		return false, nil
	}
	event, err := watchtools.UntilWithSync(ctx, source, &certificatesv1.PodCertificateRequest{}, there, func(e watch.Event) (bool, error) {
		if e.Type == watch.Deleted {
			return false, errGone
		}
		object, ok := e.Object.(*certificatesv1.PodCertificateRequest)
		return ok && outcome(object) != nil, nil
	})
	if err == nil {
		r.answer, _ = event.Object.(*certificatesv1.PodCertificateRequest)
	}
	r.err = err
	close(r.done)
	if ctx.Err() == nil {
		m.Changed(pod)
	}
}

var errGone = errors.New("it was deleted before the signer answered")

// outcome is the condition that ends a request; nil: it is under way.
func outcome(r *certificatesv1.PodCertificateRequest) *metav1.Condition {
	for i, c := range r.Status.Conditions {
		switch c.Type {
		case certificatesv1.PodCertificateRequestConditionTypeIssued, certificatesv1.PodCertificateRequestConditionTypeDenied, certificatesv1.PodCertificateRequestConditionTypeFailed:
			return &r.Status.Conditions[i]
		}
	}
	return nil
}

// answered reports whether the signer answered; patient: it waits a little for that.
func (r *request) answered(ctx context.Context, patient bool) bool {
	wait := time.Duration(0)
	if patient {
		wait = firstWait
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-r.done:
		return true
	case <-ctx.Done():
	case <-late.C:
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// take makes what the signer issued a holding's, or tells why there is nothing. final: the signer will not decide
// otherwise.
func (r *request) take() (have *issued, final bool, err error) {
	if r.err != nil {
		return nil, false, fmt.Errorf("PodCertificateRequest %q: %w", r.name, r.err)
	}
	if c := outcome(r.answer); c.Type != certificatesv1.PodCertificateRequestConditionTypeIssued {
		return nil, true, fmt.Errorf("PodCertificateRequest %q: signer %q answers %s: %s: %s", r.name, r.signer, c.Type, c.Reason, c.Message)
	}
	status := r.answer.Status
	if status.BeginRefreshAt == nil || status.NotAfter == nil {
		return nil, true, fmt.Errorf("PodCertificateRequest %q: signer %q does not say when its certificate ends", r.name, r.signer)
	}
	chain, err := chainFor(r.key.Public(), status.CertificateChain)
	if err != nil {
		return nil, true, fmt.Errorf("PodCertificateRequest %q: signer %q: %w", r.name, r.signer, err)
	}
	key, err := pemKey(r.key)
	return &issued{key: key, chain: chain, renew: status.BeginRefreshAt.Time, expires: status.NotAfter.Time}, true, err
}
