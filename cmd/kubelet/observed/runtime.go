package observed

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pod is a pod's sandboxes and containers, each newest first.
type Pod struct {
	UID        types.UID
	Name       string
	Namespace  string
	Sandboxes  []*Sandbox
	Containers []*Container
}

// Sandbox is one pod sandbox.
type Sandbox struct {
	ID          string
	Attempt     uint32
	Created     time.Time
	Ready       bool
	IPs         []string
	HostNetwork bool
}

// Container is one container, running or ended.
type Container struct {
	ID, Name                           string
	SandboxID                          string
	State                              runtimeapi.ContainerState
	Image                              string // as the pod names it
	ImageID                            string
	Hash                               string
	RestartCount                       int
	Created                            time.Time
	Started                            time.Time
	Finished                           time.Time
	ExitCode                           int32
	Reason, Message                    string
	LogPath                            string
	TerminationPath, TerminationPolicy string
	PodGrace                           *int64
	PreStop                            *v1.LifecycleHandler // nil: none
	Ports                              []v1.ContainerPort
	Resources                          *runtimeapi.ContainerResources
	User                               *runtimeapi.ContainerUser
	StopSignal                         *v1.Signal // nil: the runtime does not tell
	Mounts                             []*runtimeapi.Mount
}

// Running reports whether the container runs.
func (c *Container) Running() bool {
	return c.State == runtimeapi.ContainerState_CONTAINER_RUNNING
}

// Exited reports whether the container has ended.
func (c *Container) Exited() bool {
	return c.State == runtimeapi.ContainerState_CONTAINER_EXITED
}

// Newest is the pod's newest container of the name; nil: there never was one, or it was removed.
func (p *Pod) Newest(name string) *Container {
	if p == nil {
		return nil
	}
	for _, c := range p.Containers {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Sandbox is the newest sandbox; nil: there is none.
func (p *Pod) Sandbox() *Sandbox {
	if p == nil || len(p.Sandboxes) == 0 {
		return nil
	}
	return p.Sandboxes[0]
}

// AnyRunning reports whether a container runs.
func (p *Pod) AnyRunning() bool {
	return p != nil && slices.ContainsFunc(p.Containers, (*Container).Running)
}

// Runtime reads the container runtime.
type Runtime struct{ Service internalapi.RuntimeService }

// Pod reads one pod with the status of every container.
func (r Runtime) Pod(ctx context.Context, uid types.UID) (*Pod, error) {
	selector := map[string]string{LabelPodUID: string(uid)}
	sandboxes, err := r.Service.ListPodSandbox(ctx, &runtimeapi.PodSandboxFilter{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing the sandboxes of pod %s: %w", uid, err)
	}
	containers, err := r.Service.ListContainers(ctx, &runtimeapi.ContainerFilter{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing the containers of pod %s: %w", uid, err)
	}
	pod := &Pod{UID: uid}
	for _, s := range sandboxes {
		pod.Name, pod.Namespace = s.Labels[LabelPodName], s.Labels[LabelPodNamespace]
		sandbox, err := r.sandbox(ctx, s)
		if err != nil {
			return nil, err
		}
		if sandbox != nil {
			pod.Sandboxes = append(pod.Sandboxes, sandbox)
		}
	}
	for _, c := range containers {
		container, err := r.container(ctx, c)
		if err != nil {
			return nil, err
		}
		if container != nil {
			pod.Containers = append(pod.Containers, container)
		}
	}
	slices.SortFunc(pod.Sandboxes, func(a, b *Sandbox) int { return b.Created.Compare(a.Created) })
	slices.SortFunc(pod.Containers, func(a, b *Container) int { return b.Created.Compare(a.Created) })
	return pod, nil
}

func (r Runtime) sandbox(ctx context.Context, s *runtimeapi.PodSandbox) (*Sandbox, error) {
	resp, err := r.Service.PodSandboxStatus(ctx, s.Id, false)
	if status.Code(err) == codes.NotFound {
		return nil, nil // gone since it was listed
	}
	if err != nil {
		return nil, fmt.Errorf("status of sandbox %s: %w", s.Id, err)
	}
	st := resp.Status
	out := &Sandbox{ID: st.Id, Created: time.Unix(0, st.CreatedAt), Ready: st.State == runtimeapi.PodSandboxState_SANDBOX_READY}
	if st.Metadata != nil {
		out.Attempt = st.Metadata.Attempt
	}
	out.HostNetwork = st.Linux.GetNamespaces().GetOptions().GetNetwork() == runtimeapi.NamespaceMode_NODE
	if st.Network != nil && st.Network.Ip != "" {
		out.IPs = append(out.IPs, st.Network.Ip)
		for _, ip := range st.Network.AdditionalIps {
			out.IPs = append(out.IPs, ip.Ip)
		}
	}
	return out, nil
}

func (r Runtime) container(ctx context.Context, c *runtimeapi.Container) (*Container, error) {
	resp, err := r.Service.ContainerStatus(ctx, c.Id, false)
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("status of container %s: %w", c.Id, err)
	}
	st := resp.Status
	out := &Container{
		ID: st.Id, Name: st.Labels[LabelContainerName], SandboxID: c.PodSandboxId, State: st.State,
		Image: st.Image.GetUserSpecifiedImage(), ImageID: st.ImageRef, Hash: st.Annotations[AnnotationHash],
		Created: time.Unix(0, st.CreatedAt), Started: time.Unix(0, st.StartedAt), Finished: time.Unix(0, st.FinishedAt),
		ExitCode: st.ExitCode, Reason: st.Reason, Message: st.Message, LogPath: st.LogPath,
		TerminationPath: st.Annotations[AnnotationTerminationPath], TerminationPolicy: st.Annotations[AnnotationTerminationPolicy],
		Resources: st.Resources, User: st.User, StopSignal: APISignal(st.StopSignal), Mounts: st.Mounts,
	}
	if out.Image == "" {
		out.Image = st.Image.GetImage()
	}
	out.RestartCount, _ = strconv.Atoi(st.Annotations[AnnotationRestartCount])
	if grace, err := strconv.ParseInt(st.Annotations[AnnotationPodGrace], 10, 64); err == nil {
		out.PodGrace = &grace
	}
	if text := st.Annotations[AnnotationPreStop]; text != "" {
		var hook v1.LifecycleHandler
		if json.Unmarshal([]byte(text), &hook) == nil {
			out.PreStop = &hook
		}
	}
	if text := st.Annotations[AnnotationPorts]; text != "" {
		_ = json.Unmarshal([]byte(text), &out.Ports) // only a named port of a hook needs them
	}
	if message := terminationMessage(out, st); message != "" {
		out.Message = message
	}
	return out, nil
}

// UIDs are the pods that the runtime knows, with their names: what a kubelet finds when it starts.
func (r Runtime) UIDs(ctx context.Context) (map[types.UID]Pod, error) {
	found := map[types.UID]Pod{}
	sandboxes, err := r.Service.ListPodSandbox(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, s := range sandboxes {
		if uid := types.UID(s.Labels[LabelPodUID]); uid != "" {
			found[uid] = Pod{UID: uid, Name: s.Labels[LabelPodName], Namespace: s.Labels[LabelPodNamespace]}
		}
	}
	containers, err := r.Service.ListContainers(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if uid := types.UID(c.Labels[LabelPodUID]); uid != "" {
			if _, ok := found[uid]; !ok {
				found[uid] = Pod{UID: uid, Name: c.Labels[LabelPodName], Namespace: c.Labels[LabelPodNamespace]}
			}
		}
	}
	return found, nil
}

// fingerprints gives, by pod, a text that changes whenever a sandbox or container changes its state.
func (r Runtime) fingerprints(ctx context.Context) (map[types.UID]string, error) {
	parts := map[types.UID][]string{}
	sandboxes, err := r.Service.ListPodSandbox(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, s := range sandboxes {
		uid := types.UID(s.Labels[LabelPodUID])
		parts[uid] = append(parts[uid], s.Id+s.State.String())
	}
	containers, err := r.Service.ListContainers(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		uid := types.UID(c.Labels[LabelPodUID])
		parts[uid] = append(parts[uid], c.Id+c.State.String())
	}
	prints := make(map[types.UID]string, len(parts))
	for uid, p := range parts {
		slices.Sort(p)
		prints[uid] = strings.Join(p, " ")
	}
	return prints, nil
}
