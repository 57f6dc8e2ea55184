package node

import (
	"context"
	"net"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	internalapi "k8s.io/cri-api/pkg/apis"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/node/machine"
)

// Config of a Manager.
type Config struct {
	Name     string               // of the Node
	Client   kubernetes.Interface // nil: this kubelet has no API server
	Recorder record.EventRecorder
	Runtime  internalapi.RuntimeService
	Images   internalapi.ImageManagerService
	Machine  machine.Root // machine.Host

	Register      bool // create the Node if it does not exist
	Unschedulable bool
	Labels        map[string]string
	Taints        []v1.Taint
	NodeIPs       []net.IP // of --node-ip; empty: found by itself
	// ExternalCloud: a cloud controller manager completes the Node and takes its taint away.
	ExternalCloud bool
	ProviderID    string

	RootDir        string // its filesystem is ephemeral-storage
	MaxPods        int32
	Reserved       v1.ResourceList   // kubeReserved and systemReserved together
	EvictionHard   map[string]string // signal to quantity or percentage
	PressureSettle time.Duration     // evictionPressureTransitionPeriod
	KubeletVersion string
	Port           int32 // of the kubelet's API
	MaxImages      int   // listed in the status; -1: all

	StatusEvery   time.Duration // how often the status is computed; 10 s
	ReportEvery   time.Duration // how often an unchanged one is written; 5 min
	LeaseDuration time.Duration // 40 s

	// NotReady adds reasons why the node cannot run pods; nil: none.
	NotReady func() error
	// VolumesInUse are those that must not be detached.
	VolumesInUse func() []v1.UniqueVolumeName
	// OnConnectionLost is called when the API server does not answer for long: a connection may hang half open.
	OnConnectionLost func()
}

// Manager keeps the Node.
type Manager struct {
	Config
	info machine.Info
	kick chan struct{}

	mu         sync.Mutex
	latest     *v1.Node // as the API has it; nil: not registered yet
	initial    *v1.Node
	registered bool
	reported   time.Time // when the status was last written

	// Of the goroutine that computes the status.
	seen     runtimeState
	pressure map[v1.NodeConditionType]time.Time // when a pressure was last there
	images   imageList
	pending  []note
}

// note is an event about a change of the status, recorded when the API has the change.
type note struct{ kind, reason, message string }

func (m *Manager) note(kind, reason, message string) {
	m.pending = append(m.pending, note{kind, reason, message})
}

func (m *Manager) flush() {
	for _, n := range m.pending {
		m.event(n.kind, n.reason, n.message)
	}
	m.pending = nil
}

// New reads the machine and prepares the Node; nothing is written yet.
func New(c Config) (*Manager, error) {
	info, err := c.Machine.Read()
	if err != nil {
		return nil, err
	}
	m := &Manager{Config: c, info: info, kick: make(chan struct{}, 1), pressure: map[v1.NodeConditionType]time.Time{}}
	m.initial = m.template()
	return m, nil
}

// Node is the Node as the API has it, or as it will be registered while the API has none.
func (m *Manager) Node() (*v1.Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest != nil {
		return m.latest, nil
	}
	return m.initial, nil
}

// Registered gives the Node as the API has it, nil before.
func (m *Manager) Registered() *v1.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

// Handlers are the runtime's, with what each can do, as the node's status has them.
func (m *Manager) Handlers() []v1.NodeRuntimeHandler {
	node, _ := m.Node()
	return node.Status.RuntimeHandlers
}

// HostIPs are the node's addresses for status.hostIPs, one a family, the first the primary.
func (m *Manager) HostIPs() []string {
	node, _ := m.Node()
	return internalIPs(node.Status.Addresses)
}

// Allocatable is what pods may use together.
func (m *Manager) Allocatable() v1.ResourceList {
	node, _ := m.Node()
	return node.Status.Allocatable
}

// Update makes the status be looked at now rather than at the next turn.
func (m *Manager) Update() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// Run keeps Node and lease until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	if m.Recorder != nil {
		m.event(v1.EventTypeNormal, "Starting", "Starting kubelet.")
	}
	if m.Client == nil {
		<-ctx.Done()
		return
	}
	go m.follow(ctx)
	go m.runLease(ctx)
	m.runStatus(ctx)
}

// bootPoll is how often a node that is not ready looks whether it has become so.
const bootPoll = 250 * time.Millisecond

// runStatus computes the status now and then, and writes it when it differs or is due.
func (m *Manager) runStatus(ctx context.Context) {
	logger := klog.FromContext(ctx)
	retry := newBackoff()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
		case <-timer.C:
		}
		if err := m.ensureRegistered(ctx); err != nil {
			wait := retry.next()
			logger.Info("The node is not registered yet, trying again", "node", klog.KRef("", m.Name), "after", wait, "reason", err.Error())
			timer.Reset(wait)
			continue
		}
		ready, err := m.sync(ctx)
		switch {
		case err != nil:
			wait := min(retry.next(), m.StatusEvery)
			logger.Error(err, "The node's status could not be written, trying again", "node", klog.KRef("", m.Name), "after", wait)
			timer.Reset(wait)
		case !ready:
			retry.reset()
			timer.Reset(bootPoll)
		default:
			retry.reset()
			timer.Reset(m.StatusEvery)
		}
	}
}

// backoff doubles from 200 ms to 7 s.
type backoff struct{ wait time.Duration }

const (
	backoffFirst = 200 * time.Millisecond
	backoffMost  = 7 * time.Second
)

func newBackoff() *backoff { return &backoff{wait: backoffFirst} }

func (b *backoff) next() time.Duration {
	w := b.wait
	b.wait = min(2*b.wait, backoffMost)
	return w
}

func (b *backoff) reset() { b.wait = backoffFirst }

func (m *Manager) event(kind, reason, message string) {
	if m.Recorder == nil {
		return
	}
	// Events of nodes name the Node by its name in place of a UID, so that they are found before it is registered.
	m.Recorder.Event(&v1.ObjectReference{Kind: "Node", Name: m.Name, UID: nodeUID(m.Name), Namespace: ""}, kind, reason, message)
}
