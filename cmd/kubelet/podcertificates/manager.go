// Package podcertificates gets certificates for pods from signers: it makes a key, asks with a PodCertificateRequest,
// and renews what a signer issued before it expires (KEP-4317). Keys live in memory and in the pods' volumes alone.
package podcertificates

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// firstWait is how long a volume's setup waits for a signer; after that the signer's answer wakes the pod.
	firstWait = 3 * time.Second
	// renewalPause lies between two attempts to renew a certificate that still holds.
	renewalPause = 10 * time.Minute
	// renewalSpread keeps pods of one signer from renewing all at once (KEP-4317).
	renewalSpread = 5 * time.Minute
)

// Config of a Manager.
type Config struct {
	Client kubernetes.Interface
	Node   func() *v1.Node // as the API server has it; nil: it does not know the node yet
	// Changed is called for a pod when a signer answered a request of it.
	Changed func(types.UID)
	Clock   clock.PassiveClock
}

// Manager holds the certificates of the node's pods.
type Manager struct {
	Config
	ctx context.Context // of the watches of requests

	mu   sync.Mutex
	held map[source]*holding
}

// source is one source of a projected volume.
type source struct {
	pod    types.UID
	volume string
	index  int
}

// holding is what a source has: a certificate, a request under way, or both while it is renewed.
type holding struct {
	mu      sync.Mutex
	have    *issued
	asked   *request
	refused error // a signer's no to the first request is final (KEP-4317)
}

// issued is a key and its certificates, in PEM.
type issued struct {
	key, chain     []byte
	renew, expires time.Time
}

// New returns a manager whose watches end with ctx.
func New(ctx context.Context, c Config) *Manager {
	return &Manager{Config: c, ctx: ctx, held: map[source]*holding{}}
}

// Certificate gives the key and the certificates of a projected volume's source, in PEM, and when to ask for them again.
// While a certificate holds, failures to renew it are logged and it serves on.
func (m *Manager) Certificate(ctx context.Context, pod *v1.Pod, volume string, index int, p *v1.PodCertificateProjection) (key, chain []byte, renew time.Time, err error) {
	h := m.holding(source{pod.UID, volume, index})
	h.mu.Lock()
	defer h.mu.Unlock()
	now := m.Clock.Now()
	if h.have != nil && now.Before(h.have.renew) {
		return h.have.key, h.have.chain, h.have.renew, nil
	}
	err = m.obtain(ctx, h, pod, p)
	switch {
	case err == nil:
		return h.have.key, h.have.chain, h.have.renew, nil
	case h.have != nil && now.Before(h.have.expires):
		klog.FromContext(ctx).Info("A pod certificate is not renewed yet, the present one serves on", "pod", klog.KObj(pod), "volume", volume, "signer", p.SignerName, "reason", err.Error())
		return h.have.key, h.have.chain, earlier(now.Add(renewalPause), h.have.expires), nil
	}
	return nil, nil, time.Time{}, err
}

// obtain asks the signer, or looks what became of the request under way.
func (m *Manager) obtain(ctx context.Context, h *holding, pod *v1.Pod, p *v1.PodCertificateProjection) (err error) {
	if h.refused != nil {
		return h.refused
	}
	if h.asked == nil {
		if h.asked, err = m.ask(ctx, pod, p); err != nil {
			return err
		}
	}
	if !h.asked.answered(ctx, h.have == nil) {
		return fmt.Errorf("PodCertificateRequest %q waits for signer %q", h.asked.name, p.SignerName)
	}
	asked := h.asked
	h.asked = nil
	have, final, err := asked.take()
	switch {
	case err == nil:
		have.renew = have.renew.Add(time.Duration(rand.Int64N(int64(min(renewalSpread, max(have.expires.Sub(have.renew)/10, 1))))))
		h.have = have
	case h.have != nil:
		h.have.renew = earlier(m.Clock.Now().Add(renewalPause), h.have.expires)
	case final:
		h.refused = err
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (m *Manager) holding(s source) *holding {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.held[s]
	if h == nil {
		h = &holding{}
		m.held[s] = h
	}
	return h
}

// Release forgets the keys of a pod and ends its watches.
func (m *Manager) Release(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s, h := range m.held {
		if s.pod != uid {
			continue
		}
		delete(m.held, s)
		go h.close()
	}
}

// close waits for a setup that is under way.
func (h *holding) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked != nil {
		h.asked.stop()
	}
}
