package act

import (
	"context"
	"fmt"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/observed"
)

// CreateSandbox makes the pod's sandbox and returns its ID.
func (a *Actor) CreateSandbox(ctx context.Context, pod *v1.Pod, attempt uint32) (string, error) {
	config, err := a.SandboxConfig(pod, attempt)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return "", err
	}
	handler, err := runtimeHandler(pod)
	if err != nil {
		return "", err
	}
	id, err := a.Runtime.RunPodSandbox(ctx, config, handler)
	if err != nil {
		a.Recorder.Eventf(pod, v1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
		return "", fmt.Errorf("creating the sandbox: %w", err)
	}
	return id, nil
}

// runtimeHandler names the runtime that the pod's RuntimeClass selected; admission wrote it to an annotation-free
// place only as overhead, so a class other than the default must be known to the runtime by its own name.
func runtimeHandler(pod *v1.Pod) (string, error) {
	if pod.Spec.RuntimeClassName == nil {
		return "", nil
	}
	return *pod.Spec.RuntimeClassName, nil
}

// SandboxConfig is the runtime's description of the pod.
func (a *Actor) SandboxConfig(pod *v1.Pod, attempt uint32) (*runtimeapi.PodSandboxConfig, error) {
	dns, err := a.dns(pod)
	if err != nil {
		return nil, err
	}
	config := &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: attempt},
		Labels:       podLabels(pod),
		Annotations:  podAnnotations(pod),
		DnsConfig:    dns,
		LogDirectory: observed.PodLogDir(pod.Namespace, pod.Name, pod.UID),
		Linux:        a.linuxSandbox(pod),
	}
	if !pod.Spec.HostNetwork {
		config.Hostname = hostname(pod)
		config.PortMappings = portMappings(pod)
	}
	return config, nil
}

func podLabels(pod *v1.Pod) map[string]string {
	labels := map[string]string{}
	for k, v := range pod.Labels {
		labels[k] = v
	}
	labels[observed.LabelPodName], labels[observed.LabelPodNamespace], labels[observed.LabelPodUID] = pod.Name, pod.Namespace, string(pod.UID)
	return labels
}

func podAnnotations(pod *v1.Pod) map[string]string {
	annotations := map[string]string{}
	for k, v := range pod.Annotations {
		annotations[k] = v
	}
	return annotations
}

// hostname is the pod's, cut to what the kernel takes (63 bytes).
func hostname(pod *v1.Pod) string {
	name := pod.Name
	if pod.Spec.HostnameOverride != nil {
		return *pod.Spec.HostnameOverride
	}
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	const limit = 63
	if len(name) > limit {
		name = strings.TrimRight(name[:limit], "-.")
	}
	return name
}

func portMappings(pod *v1.Pod) []*runtimeapi.PortMapping {
	var out []*runtimeapi.PortMapping
	protocols := map[v1.Protocol]runtimeapi.Protocol{v1.ProtocolUDP: runtimeapi.Protocol_UDP, v1.ProtocolSCTP: runtimeapi.Protocol_SCTP}
	add := func(c *v1.Container) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				out = append(out, &runtimeapi.PortMapping{HostIp: p.HostIP, HostPort: p.HostPort, ContainerPort: p.ContainerPort, Protocol: protocols[p.Protocol]})
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return out
}

func (a *Actor) linuxSandbox(pod *v1.Pod) *runtimeapi.LinuxPodSandboxConfig {
	sc := pod.Spec.SecurityContext
	linux := &runtimeapi.LinuxPodSandboxConfig{
		CgroupParent: a.CgroupParent(pod),
		SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			Privileged:       anyPrivileged(pod),
			NamespaceOptions: namespaces(pod, nil),
			Seccomp:          a.seccomp(pod, nil),
		},
		Sysctls:   map[string]string{},
		Resources: &runtimeapi.LinuxContainerResources{},
	}
	if sc == nil {
		return linux
	}
	for _, s := range sc.Sysctls {
		linux.Sysctls[s.Name] = s.Value
	}
	if sc.RunAsUser != nil {
		linux.SecurityContext.RunAsUser = &runtimeapi.Int64Value{Value: *sc.RunAsUser}
	}
	if sc.RunAsGroup != nil && sc.RunAsUser != nil {
		linux.SecurityContext.RunAsGroup = &runtimeapi.Int64Value{Value: *sc.RunAsGroup}
	}
	linux.SecurityContext.SupplementalGroups = groups(sc)
	linux.SecurityContext.SelinuxOptions = selinux(sc.SELinuxOptions)
	return linux
}

// namespaces says which of the host's namespaces the pod shares; target, for an ephemeral container, is the container
// whose processes it sees.
func namespaces(pod *v1.Pod, target *string) *runtimeapi.NamespaceOption {
	o := &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_POD, Pid: runtimeapi.NamespaceMode_CONTAINER, Ipc: runtimeapi.NamespaceMode_POD}
	if pod.Spec.HostNetwork {
		o.Network = runtimeapi.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		o.Ipc = runtimeapi.NamespaceMode_NODE
	}
	switch {
	case pod.Spec.HostPID:
		o.Pid = runtimeapi.NamespaceMode_NODE
	case target != nil:
		o.Pid, o.TargetId = runtimeapi.NamespaceMode_TARGET, *target
	case pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace:
		o.Pid = runtimeapi.NamespaceMode_POD
	}
	return o
}

func anyPrivileged(pod *v1.Pod) bool {
	is := func(c *v1.Container) bool {
		return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
	}
	for i := range pod.Spec.Containers {
		if is(&pod.Spec.Containers[i]) {
			return true
		}
	}
	for i := range pod.Spec.InitContainers {
		if is(&pod.Spec.InitContainers[i]) {
			return true
		}
	}
	return false
}
