package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/images"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
)

// Environment is what a container is started in.
type Environment struct {
	Pod       fields.Pod
	SandboxID string
	Sandbox   *runtimeapi.PodSandboxConfig
	Volumes   map[string]Volume
	// TargetID is the running container that an ephemeral one looks at; empty: none.
	TargetID string
	// recursiveReadOnly: the runtime can make mounts read-only with all that is mounted below them.
	recursiveReadOnly bool
}

// Start pulls the container's image, creates it and starts it, and runs its postStart hook. A Failure carries the
// reason that users see.
func (a *Actor) Start(ctx context.Context, env Environment, s plan.Start) error {
	pod, c := env.Pod, s.Container
	image, err := a.Images.Ensure(ctx, pod.Pod, c, env.Sandbox)
	if err != nil {
		failure := imageFailure(err)
		a.containerEvent(pod.Pod, c.Name, v1.EventTypeWarning, "Failed", "Error: %s", failure.Reason)
		return failure
	}
	if env.recursiveReadOnly, err = a.recursiveReadOnly(ctx, pod.Pod, c); err != nil {
		return a.failed(pod.Pod, c, ReasonCreateConfigError, err)
	}
	config, err := a.containerConfig(env, s, image)
	if err != nil {
		return a.failed(pod.Pod, c, ReasonCreateConfigError, err)
	}
	id, err := a.Runtime.CreateContainer(ctx, env.SandboxID, config, env.Sandbox)
	if err != nil {
		return a.failed(pod.Pod, c, ReasonCreateError, err)
	}
	a.containerEvent(pod.Pod, c.Name, v1.EventTypeNormal, "Created", "Container created")
	if err := a.Runtime.StartContainer(ctx, id); err != nil {
		return a.failed(pod.Pod, c, ReasonRunError, err)
	}
	a.containerEvent(pod.Pod, c.Name, v1.EventTypeNormal, "Started", "Container started")
	a.linkLog(pod.Pod, c.Name, id, s.Attempt)
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return nil
	}
	if err := a.runHook(ctx, pod, c, id, c.Lifecycle.PostStart); err != nil {
		a.containerEvent(pod.Pod, c.Name, v1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
		running := &observed.Container{ID: id, Name: c.Name, State: runtimeapi.ContainerState_CONTAINER_RUNNING}
		ended := a.Kill(ctx, pod, running, "FailedPostStartHook", Grace(pod.Pod))
		return &Failure{ReasonPostStart, fmt.Errorf("PostStartHook failed: %w", errors.Join(err, ended))}
	}
	return nil
}

// failed tells users why a container does not start, in the runtime's words without those of gRPC.
func (a *Actor) failed(pod *v1.Pod, c *v1.Container, reason string, err error) *Failure {
	message := status.Convert(err).Message()
	a.containerEvent(pod, c.Name, v1.EventTypeWarning, "Failed", "Error: %s", message)
	return &Failure{reason, errors.New(message)}
}

func imageFailure(err error) *Failure {
	for _, reason := range []error{images.ErrImagePullBackOff, images.ErrImageNeverPull, images.ErrInvalidImageName, images.ErrImagePull} {
		if errors.Is(err, reason) {
			return &Failure{reason.Error(), errors.New(strings.TrimPrefix(err.Error(), reason.Error()+": "))}
		}
	}
	return &Failure{images.ErrImagePull.Error(), err}
}

func (a *Actor) containerEvent(pod *v1.Pod, container, kind, reason, format string, args ...any) {
	a.Recorder.Eventf(images.ContainerReference(pod, container), kind, reason, format, args...)
}

func (a *Actor) containerConfig(env Environment, s plan.Start, image images.Image) (*runtimeapi.ContainerConfig, error) {
	pod, c := env.Pod, s.Container
	if err := verifyNonRoot(pod.Pod, c, image.UID, image.User); err != nil {
		return nil, err
	}
	variables, err := a.environment(pod, c, env.Volumes)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(variables))
	var envs []*runtimeapi.KeyValue
	for _, v := range variables {
		values[v.Name] = v.Value
		envs = append(envs, &runtimeapi.KeyValue{Key: v.Name, Value: []byte(v.Value)})
	}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	mounts, err := a.mounts(env, s, lookup)
	if err != nil {
		return nil, err
	}
	users, err := a.users(pod.Pod)
	if err != nil {
		return nil, err
	}
	mapMounts(mounts, users)
	var target *string
	if env.TargetID != "" {
		target = &env.TargetID
	}
	if err := os.MkdirAll(filepath.Join(env.Sandbox.LogDirectory, c.Name), 0o755); err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: uint32(s.Attempt)},
		Image:       &runtimeapi.ImageSpec{Image: image.Ref, UserSpecifiedImage: c.Image},
		Command:     expandAll(c.Command, lookup),
		Args:        expandAll(c.Args, lookup),
		WorkingDir:  c.WorkingDir,
		Envs:        envs,
		Mounts:      mounts,
		Labels:      containerLabels(pod.Pod, c),
		Annotations: containerAnnotations(pod.Pod, c, s.Attempt),
		LogPath:     observed.ContainerLog(c.Name, s.Attempt),
		StopSignal:  stopSignal(c),
		Stdin:       c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY,
		Devices: blockDevices(env.Volumes, c),
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources:       a.Resources(pod.Pod, c),
			SecurityContext: a.security(pod.Pod, c, image, target, users),
		},
	}, nil
}

// stopSignal is what ends the container, of its specification; the runtime knows that of the image.
func stopSignal(c *v1.Container) runtimeapi.Signal {
	if c.Lifecycle == nil {
		return observed.RuntimeSignal(nil)
	}
	return observed.RuntimeSignal(c.Lifecycle.StopSignal)
}

// blockDevices are the volumes that the container uses as devices.
func blockDevices(volumes map[string]Volume, c *v1.Container) []*runtimeapi.Device {
	var out []*runtimeapi.Device
	for _, d := range c.VolumeDevices {
		if v, ok := volumes[d.Name]; ok && v.Block {
			permissions := "mrw"
			if v.ReadOnly {
				permissions = "mr"
			}
			out = append(out, &runtimeapi.Device{HostPath: v.HostPath, ContainerPath: d.DevicePath, Permissions: permissions})
		}
	}
	return out
}

func expandAll(list []string, lookup func(string) (string, bool)) []string {
	var out []string
	for _, s := range list {
		out = append(out, fields.Expand(s, lookup))
	}
	return out
}

func containerLabels(pod *v1.Pod, c *v1.Container) map[string]string {
	return map[string]string{observed.LabelPodName: pod.Name, observed.LabelPodNamespace: pod.Namespace, observed.LabelPodUID: string(pod.UID), observed.LabelContainerName: c.Name}
}

func containerAnnotations(pod *v1.Pod, c *v1.Container, attempt int) map[string]string {
	annotations := map[string]string{
		observed.AnnotationHash:              observed.ContainerHash(c),
		observed.AnnotationRestartCount:      strconv.Itoa(attempt),
		observed.AnnotationTerminationPath:   terminationPath(c),
		observed.AnnotationTerminationPolicy: string(c.TerminationMessagePolicy),
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		annotations[observed.AnnotationPodGrace] = strconv.FormatInt(*pod.Spec.TerminationGracePeriodSeconds, 10)
	}
	if pod.DeletionGracePeriodSeconds != nil {
		annotations[observed.AnnotationPodDeletionGrace] = strconv.FormatInt(*pod.DeletionGracePeriodSeconds, 10)
	}
	if len(c.Ports) > 0 {
		if data, err := json.Marshal(c.Ports); err == nil {
			annotations[observed.AnnotationPorts] = string(data)
		}
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		if data, err := json.Marshal(c.Lifecycle.PreStop); err == nil {
			annotations[observed.AnnotationPreStop] = string(data)
		}
	}
	return annotations
}

func terminationPath(c *v1.Container) string {
	if c.TerminationMessagePath == "" {
		return v1.TerminationMessagePathDefault
	}
	return c.TerminationMessagePath
}

// linkLog makes the container's log findable by its ID, as log collectors expect.
func (a *Actor) linkLog(pod *v1.Pod, container, id string, attempt int) {
	if err := os.MkdirAll(a.Logs.Links, 0o755); err != nil {
		return
	}
	target := filepath.Join(a.Logs.Pod(pod.Namespace, pod.Name, pod.UID), observed.ContainerLog(container, attempt))
	link := filepath.Join(a.Logs.Links, fmt.Sprintf("%s_%s_%s-%s.log", pod.Name, pod.Namespace, container, id))
	if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
		klog.Background().V(2).Info("A container's log cannot be linked", "link", link, "reason", err.Error())
	}
}

// UpdateResources gives a running container other limits (in-place resize, KEP-1287).
func (a *Actor) UpdateResources(ctx context.Context, pod *v1.Pod, c *v1.Container, id string) error {
	return a.Runtime.UpdateContainerResources(ctx, id, &runtimeapi.ContainerResources{Linux: a.Resources(pod, c)})
}
