package host

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	cri "k8s.io/cri-client/pkg"
)

// runtimeTimeout bounds one call to the container runtime; pulling an image has none of its own.
const runtimeTimeout = 15 * time.Second

// sockets lists where container runtimes listen, in order of preference.
func sockets() []string {
	return []string{"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/crio/crio.sock", "/run/cri-dockerd.sock", "/var/run/cri-dockerd.sock"}
}

// CRISocket returns the endpoint of the installed container runtime. With none found it returns containerd's; with several of
// different runtimes the user must choose.
func (*Local) CRISocket() (string, error) {
	found := map[string]string{}
	var order []string
	for _, path := range sockets() {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			name := path[strings.LastIndex(path, "/")+1:]
			if found[name] == "" {
				found[name] = "unix://" + path
				order = append(order, found[name])
			}
		}
	}
	switch len(order) {
	case 0:
		return "unix://" + sockets()[0], nil
	case 1:
		return order[0], nil
	}
	return "", fmt.Errorf("several container runtimes are installed (%s): name one with --cri-socket or nodeRegistration.criSocket", strings.Join(order, ", "))
}

// Runtime is a connection to a container runtime.
type Runtime struct {
	endpoint string
	service  internalapi.RuntimeService
	images   internalapi.ImageManagerService
}

// DialRuntime connects to the container runtime at an endpoint and checks that it speaks CRI v1.
func DialRuntime(ctx context.Context, endpoint string) (*Runtime, error) {
	if path, ok := strings.CutPrefix(endpoint, "unix://"); ok {
		if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("container runtime is not running: %s is no socket: start the runtime, or name its socket with --cri-socket", path)
		}
	}
	service, err := cri.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(runtimeTimeout).WithTracerProvider(nil).Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s does not answer CRI v1: %w", endpoint, err)
	}
	images, err := cri.NewRemoteImageServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(runtimeTimeout).WithTracerProvider(nil).Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s does not serve images: %w", endpoint, err)
	}
	return &Runtime{endpoint: endpoint, service: service, images: images}, nil
}

// Check asks for the runtime's state; the network may still be missing, for it comes with an add-on.
func (r *Runtime) Check(ctx context.Context) error {
	status, err := r.service.Status(ctx, false)
	if err != nil {
		return fmt.Errorf("container runtime at %s: %w", r.endpoint, err)
	}
	for _, condition := range status.GetStatus().GetConditions() {
		if condition.Type == runtimeapi.RuntimeReady && !condition.Status {
			return fmt.Errorf("container runtime at %s is not ready: %s: %s", r.endpoint, condition.Reason, condition.Message)
		}
	}
	return nil
}

// HasImage reports whether an image is present under a name.
func (r *Runtime) HasImage(ctx context.Context, image string) (bool, error) {
	status, err := r.images.ImageStatus(ctx, &runtimeapi.ImageSpec{Image: image}, false)
	if err != nil {
		return false, fmt.Errorf("asking for image %s: %w", image, err)
	}
	return status.GetImage() != nil, nil
}

// PullImage fetches an image.
func (r *Runtime) PullImage(ctx context.Context, image string) error {
	if _, err := r.images.PullImage(ctx, &runtimeapi.ImageSpec{Image: image}, nil, nil); err != nil {
		return fmt.Errorf("pulling image %s: %w", image, err)
	}
	return nil
}

// podNameLabel is on every sandbox that a kubelet made.
const podNameLabel = "io.kubernetes.pod.name"

// RemovePods stops and removes every pod sandbox that a kubelet made, with its containers. It goes on after a failure and
// returns the names removed and the first error.
func (r *Runtime) RemovePods(ctx context.Context) (removed []string, first error) {
	sandboxes, err := r.service.ListPodSandbox(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("listing pod sandboxes at %s: %w", r.endpoint, err)
	}
	for _, sandbox := range sandboxes {
		if _, ok := sandbox.Labels[podNameLabel]; !ok {
			continue
		}
		name := sandbox.GetMetadata().GetNamespace() + "/" + sandbox.GetMetadata().GetName()
		err := r.service.StopPodSandbox(ctx, sandbox.Id)
		if err == nil {
			err = r.service.RemovePodSandbox(ctx, sandbox.Id)
		}
		if err != nil {
			if first == nil {
				first = fmt.Errorf("removing pod %s: %w", name, err)
			}
			continue
		}
		removed = append(removed, name)
	}
	return removed, first
}

// ContainerLog returns the log path of the newest container of that name, "" when there is none, and whether it is running.
func (r *Runtime) ContainerLog(ctx context.Context, name string) (path string, running bool, err error) {
	list, err := r.service.ListContainers(ctx, &runtimeapi.ContainerFilter{LabelSelector: map[string]string{"io.kubernetes.container.name": name, "io.kubernetes.pod.namespace": "kube-system"}})
	if err != nil {
		return "", false, err
	}
	var newest *runtimeapi.Container
	for _, c := range list {
		if newest == nil || c.CreatedAt > newest.CreatedAt {
			newest = c
		}
	}
	if newest == nil {
		return "", false, nil
	}
	status, err := r.service.ContainerStatus(ctx, newest.Id, false)
	if err != nil {
		return "", false, err
	}
	return status.GetStatus().GetLogPath(), newest.State == runtimeapi.ContainerState_CONTAINER_RUNNING, nil
}
