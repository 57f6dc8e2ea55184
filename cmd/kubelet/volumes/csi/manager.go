package csi

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	toolsrecord "k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// Tokens gives service account tokens, for drivers that act in a pod's name.
type Tokens interface {
	Token(ctx context.Context, namespace, account string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)
}

// Config of a Manager.
type Config struct {
	RootDir  string // /var/lib/kubelet
	NodeName string
	Client   kubernetes.Interface // nil: no API server, inline volumes alone
	Tokens   Tokens
	Recorder toolsrecord.EventRecorder // nil: growth of volumes is told to claims alone
	// Announce returns when the node's status names the volume as in use, so that nobody detaches it; nil: nobody could.
	Announce func(ctx context.Context, volume v1.UniqueVolumeName) error
}

// Manager knows the node's CSI drivers and mounts through them. It is a plugins.Handler and a volumes.CSI.
type Manager struct {
	Config
	drivers drivers
	changed chan struct{}

	mu    sync.Mutex
	locks map[string]*sync.Mutex // by driver and volume: staging is once a node
	// mounted are, by folder, the volumes to look after.
	mounted map[string]mounted
}

// New returns a manager without drivers.
func New(c Config) *Manager {
	return &Manager{Config: c, drivers: drivers{list: map[string]*driver{}}, changed: make(chan struct{}, 1), locks: map[string]*sync.Mutex{}, mounted: map[string]mounted{}}
}

// Register takes a driver that has announced itself.
func (m *Manager) Register(ctx context.Context, name, endpoint string, versions []string) error {
	d, err := dial(ctx, name, endpoint, versions)
	if err != nil {
		return err
	}
	m.drivers.set(d)
	m.publishSoon()
	return nil
}

// Deregister forgets a driver. Its volumes stay mounted.
func (m *Manager) Deregister(name string) {
	if m.drivers.remove(name) {
		m.publishSoon()
	}
}

func (m *Manager) publishSoon() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

const (
	firstRetry = 200 * time.Millisecond
	mostRetry  = 30 * time.Second
)

// Run keeps the CSINode as the drivers are, and volumes as their drivers want them, until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	go m.tend(ctx)
	m.publishSoon()
	wait := firstRetry
	timer := time.NewTimer(0)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
		case <-timer.C:
		}
		if err := m.publishNode(ctx); err != nil {
			klog.FromContext(ctx).V(2).Info("The CSINode cannot be written yet, trying again", "after", wait, "reason", err.Error())
			timer.Reset(wait)
			wait = min(2*wait, mostRetry)
			continue
		}
		wait = firstRetry
	}
}

// lock serialises work on one volume.
func (m *Manager) lock(driver, handle string) (unlock func()) {
	m.mu.Lock()
	key := driver + "^" + handle
	l := m.locks[key]
	if l == nil {
		l = &sync.Mutex{}
		m.locks[key] = l
	}
	m.mu.Unlock()
	l.Lock()
	return l.Unlock
}

func labelPatch(labels map[string]string) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
}
