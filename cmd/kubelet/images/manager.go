// Package images brings images to the node, by a container's pull policy, and removes those nobody uses when the disk
// fills.
package images

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/credentials"
)

// Back-off of pulls that fail: doubling, by image and pod.
const (
	initialBackoff = 10 * time.Second
	maxBackoff     = 5 * time.Minute
)

// Reasons of a waiting container, as users know them.
var (
	ErrImagePull        = errors.New("ErrImagePull")
	ErrImagePullBackOff = errors.New("ImagePullBackOff")
	ErrImageNeverPull   = errors.New("ErrImageNeverPull")
	ErrInvalidImageName = errors.New("InvalidImageName")
)

// Secrets reads image pull secrets.
type Secrets interface {
	Secret(namespace, name string) (*v1.Secret, error)
}

// Manager pulls images.
type Manager struct {
	Service  internalapi.ImageManagerService
	Secrets  Secrets
	Recorder record.EventRecorder
	Limits   PullLimits
	// Providers give credentials besides those of pull secrets; nil: nobody does.
	Providers func(ctx context.Context, image string) []*runtimeapi.AuthConfig

	mu     sync.Mutex
	delays map[string]*delay
	used   map[string]time.Time // image ID to when a container was last made of it
}

type delay struct {
	until time.Time
	next  time.Duration
}

// Image is one that is on the node.
type Image struct {
	Ref  string // what containers are made from
	UID  *int64 // user of the image, when it is a number
	User string // user of the image, when it is a name
}

// Ensure brings the container's image to the node unless its policy is content with what is there.
func (m *Manager) Ensure(ctx context.Context, pod *v1.Pod, c *v1.Container, sandbox *runtimeapi.PodSandboxConfig) (Image, error) {
	name := c.Image
	full, err := withTag(name)
	if err != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: %v", name, err)
		m.event(pod, c, v1.EventTypeWarning, "InspectFailed", message)
		return Image{}, fmt.Errorf("%w: %s", ErrInvalidImageName, message)
	}
	spec := &runtimeapi.ImageSpec{Image: full, UserSpecifiedImage: name, Annotations: pod.Annotations}
	present, err := m.present(ctx, spec)
	if err != nil {
		return Image{}, fmt.Errorf("%w: Failed to inspect image %q: %v", ErrImagePull, name, err)
	}
	switch {
	case present != nil && c.ImagePullPolicy != v1.PullAlways:
		m.event(pod, c, v1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine", name))
		return *present, nil
	case present == nil && c.ImagePullPolicy == v1.PullNever:
		m.event(pod, c, v1.EventTypeWarning, "ErrImageNeverPull", fmt.Sprintf("Container image %q is not present with pull policy of Never", name))
		return Image{}, fmt.Errorf("%w: Container image %q is not present with pull policy of Never", ErrImageNeverPull, name)
	}
	if wait := m.waiting(pod, name); wait > 0 {
		m.event(pod, c, v1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", name))
		return Image{}, fmt.Errorf("%w: Back-off pulling image %q", ErrImagePullBackOff, name)
	}
	return m.pull(ctx, pod, c, spec, sandbox)
}

func (m *Manager) present(ctx context.Context, spec *runtimeapi.ImageSpec) (*Image, error) {
	resp, err := m.Service.ImageStatus(ctx, spec, false)
	if err != nil || resp.GetImage() == nil {
		return nil, err
	}
	image := &Image{Ref: resp.Image.Id, User: resp.Image.Username}
	if resp.Image.Uid != nil {
		image.UID = &resp.Image.Uid.Value
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil {
		m.used = map[string]time.Time{}
	}
	m.used[resp.Image.Id] = time.Now()
	return image, nil
}

func (m *Manager) pull(ctx context.Context, pod *v1.Pod, c *v1.Container, spec *runtimeapi.ImageSpec, sandbox *runtimeapi.PodSandboxConfig) (Image, error) {
	done, err := m.Limits.begin(ctx)
	if err != nil {
		m.event(pod, c, v1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.Image, err))
		return Image{}, fmt.Errorf("%w: %v", ErrImagePull, err)
	}
	defer done()
	m.event(pod, c, v1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.Image))
	began := time.Now()
	var last error
	for _, auth := range m.credentials(ctx, pod, spec.Image) {
		if _, last = m.Service.PullImage(ctx, spec, auth, sandbox); last == nil {
			break
		}
	}
	if last != nil {
		m.failed(pod, c.Image)
		m.event(pod, c, v1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.Image, last))
		return Image{}, fmt.Errorf("%w: %v", ErrImagePull, last)
	}
	m.succeeded(pod, c.Image)
	m.event(pod, c, v1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v", c.Image, time.Since(began).Truncate(time.Millisecond)))
	present, err := m.present(ctx, spec)
	if err != nil || present == nil {
		return Image{}, fmt.Errorf("%w: image %q vanished after it was pulled: %v", ErrImagePull, c.Image, err)
	}
	return *present, nil
}

// withTag adds the tag of an image that names neither tag nor digest. A short name stays short: which registry it means
// is the runtime's to say.
func withTag(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", name, err)
	}
	if reference.IsNameOnly(named) {
		return name + ":latest", nil
	}
	return name, nil
}

func key(pod *v1.Pod, image string) string { return string(pod.UID) + " " + image }

func (m *Manager) waiting(pod *v1.Pod, image string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.delays[key(pod, image)]; d != nil {
		return time.Until(d.until)
	}
	return 0
}

func (m *Manager) failed(pod *v1.Pod, image string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.delays == nil {
		m.delays = map[string]*delay{}
	}
	d := m.delays[key(pod, image)]
	if d == nil {
		d = &delay{next: initialBackoff}
		m.delays[key(pod, image)] = d
	}
	d.until = time.Now().Add(d.next)
	d.next = min(2*d.next, maxBackoff)
}

func (m *Manager) succeeded(pod *v1.Pod, image string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.delays, key(pod, image))
}

// Forget drops what is remembered of a pod.
func (m *Manager) Forget(pod *v1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.delays {
		if strings.HasPrefix(k, string(pod.UID)+" ") {
			delete(m.delays, k)
		}
	}
}

func (m *Manager) event(pod *v1.Pod, c *v1.Container, kind, reason, message string) {
	m.Recorder.Event(ContainerReference(pod, c.Name), kind, reason, message)
}

// ContainerReference is what events of a container are about.
func ContainerReference(pod *v1.Pod, container string) *v1.ObjectReference {
	path := "spec.containers{" + container + "}"
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == container {
			path = "spec.initContainers{" + container + "}"
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == container {
			path = "spec.ephemeralContainers{" + container + "}"
		}
	}
	return &v1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, FieldPath: path}
}

// dockerConfig is the content of image pull secrets.
type dockerConfig struct {
	Auths map[string]struct {
		Username, Password, Auth string
	} `json:"auths"`
}

// credentials are those of the pod's pull secrets for the image's registry, then those of plugins, or none at all.
func (m *Manager) credentials(ctx context.Context, pod *v1.Pod, image string) []*runtimeapi.AuthConfig {
	var found []*runtimeapi.AuthConfig
	for _, ref := range pod.Spec.ImagePullSecrets {
		secret, err := m.Secrets.Secret(pod.Namespace, ref.Name)
		if err != nil {
			klog.Background().Info("An image pull secret cannot be read, going on without", "secret", klog.KRef(pod.Namespace, ref.Name), "reason", err.Error())
			continue
		}
		var config dockerConfig
		if data, ok := secret.Data[v1.DockerConfigJsonKey]; ok {
			if json.Unmarshal(data, &config) != nil {
				continue
			}
		} else if data, ok := secret.Data[v1.DockerConfigKey]; ok {
			if json.Unmarshal(data, &config.Auths) != nil {
				continue
			}
		}
		for _, registry := range slices.Backward(slices.Sorted(maps.Keys(config.Auths))) { // of two, the longer path first
			entry := config.Auths[registry]
			if !credentials.Serves(registry, image) {
				continue
			}
			auth := &runtimeapi.AuthConfig{Username: entry.Username, Password: entry.Password}
			if decoded, err := base64.StdEncoding.DecodeString(entry.Auth); err == nil && entry.Auth != "" {
				auth.Username, auth.Password, _ = strings.Cut(string(decoded), ":")
			}
			found = append(found, auth)
		}
	}
	if m.Providers != nil {
		found = append(found, m.Providers(ctx, image)...)
	}
	if len(found) == 0 {
		found = append(found, nil)
	}
	return found
}
