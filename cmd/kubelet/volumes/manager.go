package volumes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"pilotis.dev/cmd/kubelet/fields"
)

// Objects reads ConfigMaps and Secrets.
type Objects interface {
	Secret(namespace, name string) (*v1.Secret, error)
	ConfigMap(namespace, name string) (*v1.ConfigMap, error)
}

// Tokens gives service account tokens.
type Tokens interface {
	Token(ctx context.Context, namespace, account string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)
	RefreshAt(tr *authenticationv1.TokenRequest) time.Time
}

// Certificates gets pods certificates from signers.
type Certificates interface {
	// Certificate gives the key and the certificates, in PEM, of a projected volume's source, and when to ask for them again.
	Certificate(ctx context.Context, pod *v1.Pod, volume string, source int, p *v1.PodCertificateProjection) (key, chain []byte, renew time.Time, err error)
}

// CSI mounts volumes through drivers on this node.
type CSI interface {
	// Mount stages and publishes the volume of spec for the pod at the folder given, and returns the device for a block
	// volume. It can be repeated.
	Mount(ctx context.Context, r CSIRequest) (device string, err error)
	// Unmount undoes Mount from what dir holds, which may be of an earlier kubelet.
	Unmount(ctx context.Context, dir string) error
	// InUse lists attachable volumes that are mounted.
	InUse() []v1.UniqueVolumeName
}

// CSIRequest is one volume of one pod.
type CSIRequest struct {
	Pod      *v1.Pod
	Name     string               // of the volume in its folder: the PV's, or the pod's for an inline volume
	Inline   *v1.CSIVolumeSource  // or
	PV       *v1.PersistentVolume // with
	Claim    *v1.PersistentVolumeClaim
	Dir      string // <root>/pods/<UID>/volumes/kubernetes.io~csi/<name>
	ReadOnly bool
	FSGroup  *int64
}

// Config of a Manager.
type Config struct {
	RootDir  string // /var/lib/kubelet
	NodeName string
	Objects  Objects
	Tokens   Tokens
	// Certificates are asked for certificates of pods; nil: there are none.
	Certificates Certificates
	CSI          CSI                      // nil: no CSI
	Node         func() (*v1.Node, error) // labels for local volumes, memory for sizes
	Client       kubernetes.Interface     // nil: no claims
	Recorder     record.EventRecorder     // for refreshes that fail
	// View gives a pod as it is now, with its addresses, for the downward API.
	View func(types.UID) (fields.Pod, bool)
	// Image brings the image of an image volume to the node and gives what the runtime knows it by; nil: none.
	Image func(ctx context.Context, pod *v1.Pod, volume *v1.Volume) (ref string, err error)
	// Keep lists the pods whose folders must stay; false: not known yet. nil: orphans are left alone.
	Keep func() (sets.Set[types.UID], bool)

	mounter mounter // tests set it
}

// Mounted is a volume that is ready.
type Mounted struct {
	HostPath       string // a folder or file; a device when Block
	ReadOnly       bool   // whatever the container asks for
	SELinuxRelabel bool
	SupportsIDMap  bool // the pod may have a user namespace
	Block          bool
	Image          string // an image volume: the runtime mounts this image, HostPath is empty
}

// Manager sets volumes up and takes them away.
type Manager struct {
	Config
	queue workqueue.TypedRateLimitingInterface[types.UID]

	mu   sync.Mutex
	pods map[types.UID]*podState
}

// podState is what a pod has mounted since this kubelet began.
type podState struct {
	mu   sync.Mutex // one worker a pod at a time
	pod  *v1.Pod    // guarded by Manager.mu
	done map[string]Mounted
	// paths are the host paths of done; guarded by Manager.mu, so that a slow mount does not hold up statistics.
	paths map[string]string
}

// New returns a manager that touches nothing yet.
func New(c Config) *Manager {
	if c.mounter == nil {
		c.mounter = kernel{}
	}
	return &Manager{Config: c, pods: map[types.UID]*podState{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](time.Second, 2*time.Minute))}
}

func (m *Manager) state(uid types.UID) *podState {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.pods[uid]
	if s == nil {
		s = &podState{done: map[string]Mounted{}, paths: map[string]string{}}
		m.pods[uid] = s
	}
	return s
}

// Setup makes the volumes ready that the pod's containers use, and gives them by name. An error names every volume
// that failed; the others are ready, and the next call goes on from there.
func (m *Manager) Setup(ctx context.Context, pod *v1.Pod) (map[string]Mounted, error) {
	s := m.state(pod.UID)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.mu.Lock()
	s.pod = pod
	m.mu.Unlock()
	var errs []error
	out := map[string]Mounted{}
	used := usedVolumes(pod)
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if !used.Has(v.Name) {
			continue
		}
		mounted, ok := s.done[v.Name]
		if !ok {
			var err error
			if mounted, err = m.setup(ctx, request{pod: pod, volume: v, name: v.Name}); err != nil {
				errs = append(errs, fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", v.Name, err))
				continue
			}
			s.done[v.Name] = mounted
			m.mu.Lock()
			s.paths[v.Name] = mounted.HostPath
			m.mu.Unlock()
		}
		out[v.Name] = mounted
	}
	return out, errors.Join(errs...)
}

// usedVolumes are those that a container mounts; others are not made.
func usedVolumes(pod *v1.Pod) sets.Set[string] {
	used := sets.New[string]()
	add := func(mounts []v1.VolumeMount, devices []v1.VolumeDevice) {
		for _, m := range mounts {
			used.Insert(m.Name)
		}
		for _, d := range devices {
			used.Insert(d.Name)
		}
	}
	for _, c := range pod.Spec.InitContainers {
		add(c.VolumeMounts, c.VolumeDevices)
	}
	for _, c := range pod.Spec.Containers {
		add(c.VolumeMounts, c.VolumeDevices)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		add(c.VolumeMounts, c.VolumeDevices)
	}
	return used
}

// InUse lists the attachable volumes that this node holds, for the node's status.
func (m *Manager) InUse() []v1.UniqueVolumeName {
	if m.CSI == nil {
		return nil
	}
	return m.CSI.InUse()
}

// Path is where a volume of the pod is mounted; empty: this kubelet has not mounted it.
func (m *Manager) Path(uid types.UID, volume string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.pods[uid]
	if s == nil {
		return ""
	}
	return s.paths[volume]
}

// request is one volume to set up.
type request struct {
	pod    *v1.Pod
	volume *v1.Volume
	name   string // of its folder
}

// setup makes one volume ready, by its kind.
func (m *Manager) setup(ctx context.Context, r request) (Mounted, error) {
	v := r.volume
	switch {
	case v.HostPath != nil:
		return m.hostPath(v.HostPath)
	case v.EmptyDir != nil:
		return m.emptyDir(r)
	case v.ConfigMap != nil, v.Secret != nil, v.DownwardAPI != nil, v.Projected != nil:
		return m.content(ctx, r)
	case v.Image != nil:
		return m.image(ctx, r)
	case v.PersistentVolumeClaim != nil, v.Ephemeral != nil:
		return m.claim(ctx, r)
	case v.NFS != nil:
		return m.nfs(ctx, r, v.NFS, nil)
	case v.CSI != nil:
		return m.csi(ctx, CSIRequest{Pod: r.pod, Name: r.name, Inline: v.CSI, ReadOnly: v.CSI.ReadOnly != nil && *v.CSI.ReadOnly, FSGroup: fsGroup(r.pod)})
	case v.GitRepo != nil:
		return Mounted{}, errors.New("gitRepo volumes are disabled: clone in an init container instead")
	}
	return Mounted{}, errors.New("no volume plugin matched: this kind of volume is not served by this node")
}

func (m *Manager) csi(ctx context.Context, r CSIRequest) (Mounted, error) {
	if m.CSI == nil {
		return Mounted{}, errors.New("this node serves no CSI volumes")
	}
	r.Dir = m.volumeDir(r.Pod.UID, pluginCSI, r.Name)
	device, err := m.CSI.Mount(ctx, r)
	if err != nil {
		return Mounted{}, err
	}
	if device != "" {
		return Mounted{HostPath: device, Block: true, ReadOnly: r.ReadOnly}, nil
	}
	return Mounted{HostPath: r.Dir + "/mount", ReadOnly: r.ReadOnly, SELinuxRelabel: true, SupportsIDMap: true}, nil
}

func fsGroup(pod *v1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}
