package act

import (
	"context"
	"fmt"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

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
	handler, err := a.handler(ctx, pod)
	if err != nil {
		a.Recorder.Eventf(pod, v1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
		return "", err
	}
	id, err := a.Runtime.RunPodSandbox(ctx, config, handler)
	if err != nil {
		if ctx.Err() == nil { // else the pod is to go
			a.Recorder.Eventf(pod, v1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
		}
		return "", fmt.Errorf("creating the sandbox: %w", err)
	}
	return id, nil
}

// handler is what the runtime calls the pod's RuntimeClass; empty: its default.
func (a *Actor) handler(ctx context.Context, pod *v1.Pod) (string, error) {
	class := ptr.Deref(pod.Spec.RuntimeClassName, "")
	if class == "" {
		return "", nil
	}
	return a.RuntimeHandler(ctx, class)
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
		LogDirectory: a.Logs.Pod(pod.Namespace, pod.Name, pod.UID),
	}
	if config.Linux, err = a.linuxSandbox(pod); err != nil {
		return nil, err
	}
	if !pod.Spec.HostNetwork {
		if config.Hostname, err = a.hostname(pod); err != nil {
			return nil, err
		}
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

// hostname is what the kernel of the pod is told: the short name, or with setHostnameAsFQDN the full one, which must
// fit (64 bytes).
func (a *Actor) hostname(pod *v1.Pod) (string, error) {
	name := hostname(pod)
	if pod.Spec.SetHostnameAsFQDN == nil || !*pod.Spec.SetHostnameAsFQDN || pod.Spec.Subdomain == "" || pod.Spec.HostnameOverride != nil {
		return name, nil
	}
	full := fmt.Sprintf("%s.%s.%s.svc.%s", name, pod.Spec.Subdomain, pod.Namespace, a.ClusterDomain)
	const limit = 64
	if len(full) > limit {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)", full, limit, len(full))
	}
	return full, nil
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

func (a *Actor) linuxSandbox(pod *v1.Pod) (*runtimeapi.LinuxPodSandboxConfig, error) {
	sc := pod.Spec.SecurityContext
	users, err := a.users(pod)
	if err != nil {
		return nil, err
	}
	linux := &runtimeapi.LinuxPodSandboxConfig{
		CgroupParent: a.CgroupParent(pod),
		SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			Privileged:       anyPrivileged(pod),
			NamespaceOptions: namespaces(pod, nil, users),
			Seccomp:          a.seccomp(pod, nil),
		},
		Sysctls:   map[string]string{},
		Resources: &runtimeapi.LinuxContainerResources{},
	}
	for name, value := range a.Sysctls {
		if strings.HasPrefix(dotted(name), "net.") && pod.Spec.HostNetwork || !strings.HasPrefix(dotted(name), "net.") && pod.Spec.HostIPC {
			continue // it would be the host's
		}
		linux.Sysctls[dotted(name)] = value
	}
	if sc == nil {
		return linux, nil
	}
	for _, s := range sc.Sysctls {
		linux.Sysctls[dotted(s.Name)] = s.Value
	}
	if sc.RunAsUser != nil {
		linux.SecurityContext.RunAsUser = &runtimeapi.Int64Value{Value: *sc.RunAsUser}
	}
	if sc.RunAsGroup != nil && sc.RunAsUser != nil {
		linux.SecurityContext.RunAsGroup = &runtimeapi.Int64Value{Value: *sc.RunAsGroup}
	}
	linux.SecurityContext.SupplementalGroups = groups(sc)
	linux.SecurityContext.SelinuxOptions = selinux(sc.SELinuxOptions)
	return linux, nil
}

// dotted is a sysctl's name as the runtime takes it: kernel/sem and kernel.sem are the same.
func dotted(sysctl string) string { return strings.ReplaceAll(sysctl, "/", ".") }

// namespaces says which of the host's namespaces the pod shares; target, for an ephemeral container, is the container
// whose processes it sees.
func namespaces(pod *v1.Pod, target *string, users *runtimeapi.UserNamespace) *runtimeapi.NamespaceOption {
	o := &runtimeapi.NamespaceOption{UsernsOptions: users, Network: runtimeapi.NamespaceMode_POD, Pid: runtimeapi.NamespaceMode_CONTAINER, Ipc: runtimeapi.NamespaceMode_POD}
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
