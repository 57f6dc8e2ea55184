// Package app puts the kubelet together: it observes the container runtime, plans for each pod, and acts.
package app

import (
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/images"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
	"pilotis.dev/cmd/kubelet/resources"
	"pilotis.dev/cmd/kubelet/status"
)

// Volumes prepares pods' volumes.
type Volumes interface {
	// Setup makes the pod's volumes ready and gives them by name. It can be repeated.
	Setup(ctx context.Context, pod *v1.Pod) (map[string]act.Volume, error)
	// Teardown takes away the volumes of a pod whose containers are gone.
	Teardown(ctx context.Context, uid types.UID) error
}

// Probes asks containers how they are.
type Probes interface {
	AddPod(pod *v1.Pod)
	Observe(uid types.UID, statuses []v1.ContainerStatus, podIP string) (changed bool)
	// StopLiveness ends liveness and startup probing of a pod whose containers are being stopped.
	StopLiveness(uid types.UID)
	RemovePod(uid types.UID)
	Ready(uid types.UID, container string) (ready, known bool)
	Started(uid types.UID, container string) bool
	Unhealthy(uid types.UID, container, containerID string) (reason string, unhealthy bool)
}

// References counts the objects that pods refer to.
type References interface {
	Use(pod *v1.Pod)
	Release(uid types.UID)
}

// Kubelet is the pods' part of the daemon.
type Kubelet struct {
	Node        string
	RootDir     string
	Client      kubernetes.Interface // nil: static pods alone
	Recorder    record.EventRecorder
	Desired     *desired.Set
	Runtime     observed.Runtime
	Actor       *act.Actor
	Images      *images.Manager
	Cgroups     resources.Cgroups
	Users       *resources.UserNamespaces
	Allocations *resources.Allocations
	Status      *status.Writer
	Volumes     Volumes
	Probes      Probes
	Objects     References
	Backoff     *plan.Backoff
	HostIPs     func() []string
	NodeObject  func() *v1.Node
	Allocatable func() v1.ResourceList
	MaxPods     int
	Logs        observed.Logs
	// Pressure tells why the node takes no such pod now; empty: it does. nil: it always does.
	Pressure func(pod *v1.Pod) string
	// DeadContainers is how many ended containers of a name stay, for their logs.
	// MaxDeadInAll is how many ended containers stay in all; negative: any number. MinDeadAge is how long each stays at least.
	MaxDeadInAll int
	MinDeadAge   time.Duration
	// SyncEvery is how often a pod is looked at although nothing happened (syncFrequency); 0: never.
	SyncEvery      time.Duration
	DeadContainers int
	// UnsafeSysctls are those that pods may set besides the safe ones (allowedUnsafeSysctls).
	UnsafeSysctls []string

	mu        sync.Mutex
	workers   map[types.UID]*worker
	ctx       context.Context
	wg        sync.WaitGroup
	healthy   time.Time  // last answer of the runtime
	admission sync.Mutex // what one pod takes another must see
	sharing   sync.Mutex // of the CPU share of a class: it follows the newest list of pods
}

// Begin lets Wake start workers, which end with ctx. It comes before the sources of pods start.
func (k *Kubelet) Begin(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ctx, k.workers = ctx, map[types.UID]*worker{}
}

// Run runs the pods until ctx ends. Containers keep running when it does.
func (k *Kubelet) Run(ctx context.Context) {
	go k.housekeeping(ctx)
	// What the runtime reports wakes the pods' workers, which observe, plan and act.
	k.Runtime.Watch(ctx, k.Wake, k.noteHealthy)
	k.wg.Wait()
}

func (k *Kubelet) noteHealthy() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.healthy = time.Now()
}

// RuntimeHealthy reports whether the runtime answered lately.
func (k *Kubelet) RuntimeHealthy() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	const patience = 3 * time.Minute
	return time.Since(k.healthy) < patience
}

// Wake makes the pod's worker look again.
func (k *Kubelet) Wake(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx == nil || k.ctx.Err() != nil || uid == "" {
		return
	}
	w := k.workers[uid]
	if w == nil {
		w = &worker{kubelet: k, uid: uid, kick: make(chan struct{}, 1), waiting: map[string]status.Waiting{}}
		k.workers[uid] = w
		k.wg.Add(1)
		go func() {
			defer k.wg.Done()
			w.run(k.ctx)
		}()
	}
	w.wake(k.Desired.Get(uid))
}

// WakeAll makes every pod's worker look again.
func (k *Kubelet) WakeAll() {
	uids := map[types.UID]bool{}
	for _, p := range k.Desired.Pods() {
		uids[p.UID] = true
	}
	k.mu.Lock()
	for uid := range k.workers {
		uids[uid] = true
	}
	k.mu.Unlock()
	for uid := range uids {
		k.Wake(uid)
	}
}

// forget ends a worker and wakes those that waited for its name.
func (k *Kubelet) forget(w *worker) {
	k.mu.Lock()
	delete(k.workers, w.uid)
	var waiting []types.UID
	for uid, other := range k.workers {
		if w.pod != nil && other.blockedBy == w.uid {
			waiting = append(waiting, uid)
		}
	}
	k.mu.Unlock()
	for _, uid := range waiting {
		k.Wake(uid)
	}
}

// predecessor is another pod of the same name that still runs here: a static pod whose manifest changed waits for it.
func (k *Kubelet) predecessor(pod *v1.Pod) types.UID {
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid, w := range k.workers {
		if uid != pod.UID && w.name == (types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}) && w.begun {
			return uid
		}
	}
	return ""
}

// namesake finds what an earlier kubelet started under the name of a static pod, from another manifest. It goes first,
// even before the API has told its pods: the API server may be the pod in question.
func (k *Kubelet) namesake(ctx context.Context, pod *v1.Pod) (types.UID, error) {
	if !desired.IsStatic(pod) {
		return "", nil
	}
	known, err := k.Runtime.UIDs(ctx)
	if err != nil {
		return "", err
	}
	for uid, other := range known {
		if uid != pod.UID && other.Namespace == pod.Namespace && other.Name == pod.Name {
			return uid, nil
		}
	}
	return "", nil
}

// Pods lists the node's pods with their newest status.
func (k *Kubelet) Pods() []*v1.Pod {
	var out []*v1.Pod
	for _, p := range k.Desired.Pods() {
		c := p.DeepCopy()
		if s, ok := k.Status.Get(p.UID); ok {
			c.Status = s
		}
		out = append(out, c)
	}
	return out
}
