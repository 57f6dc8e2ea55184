// Package apply hands the planned rules to the kernel and keeps them current.
package apply

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/desired"
	"pilotis.dev/cmd/kube-proxy/rules/nftables"
)

// Config is one IP family's proxier.
type Config struct {
	Family        v1.IPFamily
	Node          desired.Node
	NFT           knftables.Interface
	Settings      nftables.Settings
	Rules         nftables.Builder
	MinSyncPeriod time.Duration
	RetryPeriod   time.Duration
	Conntrack     ConntrackCleaner
	// Synced is told after each successful application, with all Services' ports that changed in it.
	Synced func(changed map[types.NamespacedName][]desired.ServicePort)
}

// ConntrackCleaner forgets UDP flows that somebody else than the endpoints of their destination answers.
type ConntrackCleaner interface {
	Clean(family v1.IPFamily, flows Flows) error
}

// Proxier keeps the rules of one IP family. The watches call its On… methods; Run applies what changed.
type Proxier struct {
	config Config

	mu      sync.Mutex
	tracker *desired.Tracker
	cidrs   []netip.Prefix // of Services, as last seen
	wake    chan struct{}

	state     *nftables.State // nil: the table must be written anew
	committed map[types.NamespacedName][]desired.ServicePort
	stale     Flows // to be forgotten
}

// NewProxier returns a proxier with nothing in it.
func NewProxier(c Config) *Proxier {
	return &Proxier{config: c, tracker: desired.NewTracker(c.Family, c.Node), wake: make(chan struct{}, 1),
		committed: map[types.NamespacedName][]desired.ServicePort{}, stale: Flows{}}
}

// Family is the IP family that the proxier serves.
func (p *Proxier) Family() v1.IPFamily { return p.config.Family }

func (p *Proxier) change(f func(t *desired.Tracker)) {
	p.mu.Lock()
	f(p.tracker)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Proxier) OnService(s *v1.Service) { p.change(func(t *desired.Tracker) { t.SetService(s) }) }
func (p *Proxier) OnServiceDelete(key types.NamespacedName) {
	p.change(func(t *desired.Tracker) { t.DeleteService(key) })
}
func (p *Proxier) OnSlice(s *discoveryv1.EndpointSlice) {
	p.change(func(t *desired.Tracker) { t.SetSlice(s) })
}
func (p *Proxier) OnSliceDelete(s *discoveryv1.EndpointSlice) {
	p.change(func(t *desired.Tracker) { t.DeleteSlice(s) })
}
func (p *Proxier) OnNode(n desired.Node) { p.change(func(t *desired.Tracker) { t.SetNode(n) }) }

// OnServiceCIDRs takes all ranges that cluster IPs come from.
func (p *Proxier) OnServiceCIDRs(cidrs []netip.Prefix) {
	p.change(func(*desired.Tracker) { p.cidrs = cidrs })
}

// Run applies changes until ctx ends. Call it when the watches have delivered everything once.
func (p *Proxier) Run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithValues("family", p.config.Family)
	retry := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-retry.C:
		}
		began := time.Now()
		changed, err := p.Sync(ctx)
		if err != nil {
			logger.Error(err, "Applying rules failed, trying again", "retryAfter", p.config.RetryPeriod)
			retry.Reset(min(p.config.RetryPeriod, 5*time.Second))
			continue
		}
		logger.V(2).Info("Applied rules", "services", changed, "took", time.Since(began))
		if p.config.MinSyncPeriod > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(p.config.MinSyncPeriod):
			}
		}
	}
}

// Sync brings what changed since the last call into the kernel, all or nothing, and returns how many Services
// that were.
func (p *Proxier) Sync(ctx context.Context) (int, error) {
	p.mu.Lock()
	changes := p.tracker.Changes()
	cidrs := p.cidrs
	p.mu.Unlock()

	moved := !slices.Equal(cidrs, p.config.Settings.ServiceCIDRs)
	p.config.Settings.ServiceCIDRs = cidrs
	if p.state == nil {
		return len(changes), p.start(ctx, changes)
	}
	if len(changes) == 0 && !moved {
		return 0, p.forgetFlows()
	}
	tx := p.config.NFT.NewTransaction()
	if moved {
		nftables.ReplaceServiceCIDRs(tx, p.config.Settings)
	}
	p.state.Apply(tx, changes)
	if tx.NumOperations() > 0 {
		if err := p.config.NFT.Run(ctx, tx); err != nil {
			p.state = nil
			p.mu.Lock()
			p.tracker.Again(changes)
			p.mu.Unlock()
			return 0, err
		}
	}
	return len(changes), p.commit(changes)
}

// start writes the whole table in one transaction, over what an earlier process left.
func (p *Proxier) start(ctx context.Context, changes map[types.NamespacedName][]desired.ServicePort) error {
	for key, ports := range p.committed {
		if _, newer := changes[key]; !newer {
			changes[key] = ports
		}
	}
	state := nftables.NewState(p.config.Rules)
	tx := nftables.Base(p.config.NFT, p.config.Settings)
	state.Apply(tx, changes)
	if err := p.config.NFT.Run(ctx, tx); err != nil {
		p.mu.Lock()
		p.tracker.Again(changes)
		p.mu.Unlock()
		return fmt.Errorf("writing table %s: %w", nftables.Table, err)
	}
	p.state = state
	return p.commit(changes)
}

// commit notes what the kernel has now and forgets the flows of before. What cannot be forgotten now is tried with the
// next call.
func (p *Proxier) commit(changes map[types.NamespacedName][]desired.ServicePort) error {
	nodeIPs, changed, known := p.config.Settings.NodePortIPs, Flows{}, Flows{}
	for key, ports := range changes {
		before, now := flowsOf(p.committed[key], nodeIPs), flowsOf(ports, nodeIPs)
		changed.add(stale(before, now))
		known.add(now)
		if len(ports) == 0 {
			delete(p.committed, key)
		} else {
			p.committed[key] = ports
		}
	}
	for to := range p.stale { // what is still to be forgotten must spare the endpoints that came since
		if now, ok := known[to]; ok {
			p.stale[to] = now
		}
	}
	maps.Copy(p.stale, changed)
	if p.config.Synced != nil {
		p.config.Synced(changes)
	}
	return p.forgetFlows()
}

func (p *Proxier) forgetFlows() error {
	if len(p.stale) == 0 {
		return nil
	}
	if err := p.config.Conntrack.Clean(p.config.Family, p.stale); err != nil {
		return fmt.Errorf("forgetting UDP flows to endpoints that are gone: %w", err)
	}
	p.stale = Flows{}
	return nil
}
