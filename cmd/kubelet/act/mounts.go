package act

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/plan"
)

// mounts gives a container's mounts: the volumes it names, /etc/hosts and its termination file.
func (a *Actor) mounts(env Environment, s plan.Start, lookup func(string) (string, bool)) ([]*runtimeapi.Mount, error) {
	c := s.Container
	var out []*runtimeapi.Mount
	hasHosts := false
	for i, m := range c.VolumeMounts {
		mount, err := a.volumeMount(env, c.Name, i, m, lookup)
		if err != nil {
			return nil, err
		}
		out = append(out, mount)
		hasHosts = hasHosts || m.MountPath == "/etc/hosts"
	}
	if !hasHosts {
		hosts, err := a.hostsFile(env)
		if err != nil {
			return nil, err
		}
		out = append(out, &runtimeapi.Mount{ContainerPath: "/etc/hosts", HostPath: hosts, SelinuxRelabel: true})
	}
	file, err := a.terminationFile(env.Pod.Pod, c, s.Attempt)
	if err != nil {
		return nil, err
	}
	return append(out, &runtimeapi.Mount{ContainerPath: terminationPath(c), HostPath: file, SelinuxRelabel: true}), nil
}

func (a *Actor) volumeMount(env Environment, container string, index int, m v1.VolumeMount, lookup func(string) (string, bool)) (*runtimeapi.Mount, error) {
	volume, ok := env.Volumes[m.Name]
	if !ok {
		return nil, fmt.Errorf("cannot find volume %q to mount into container", m.Name)
	}
	if volume.Image != "" {
		return &runtimeapi.Mount{ContainerPath: absolute(m.MountPath), Image: &runtimeapi.ImageSpec{Image: volume.Image}, ImageSubPath: m.SubPath, Readonly: true}, nil
	}
	host := volume.HostPath
	sub := m.SubPath
	if m.SubPathExpr != "" {
		missing := ""
		sub = fields.Expand(m.SubPathExpr, func(name string) (string, bool) {
			v, ok := lookup(name)
			if !ok {
				missing = name
			}
			return v, ok
		})
		if missing != "" {
			return nil, fmt.Errorf("subPathExpr %q: missing value for %q", m.SubPathExpr, missing)
		}
	}
	if sub != "" {
		var err error
		if host, err = a.SubPath(env.Pod.UID, container, index, m.Name, volume.HostPath, sub, m.ReadOnly || volume.ReadOnly); err != nil {
			return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q: %w", m.Name, err)
		}
	}
	mount := &runtimeapi.Mount{ContainerPath: absolute(m.MountPath), HostPath: host, Readonly: m.ReadOnly || volume.ReadOnly, SelinuxRelabel: volume.SELinuxRelabel}
	switch mode := ptr.Deref(m.RecursiveReadOnly, v1.RecursiveReadOnlyDisabled); mode {
	case v1.RecursiveReadOnlyEnabled:
		mount.RecursiveReadOnly = m.ReadOnly
	case v1.RecursiveReadOnlyIfPossible:
		mount.RecursiveReadOnly = m.ReadOnly && env.recursiveReadOnly
	}
	switch ptr.Deref(m.MountPropagation, v1.MountPropagationNone) {
	case v1.MountPropagationHostToContainer:
		mount.Propagation = runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
	case v1.MountPropagationBidirectional:
		mount.Propagation = runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL
	}
	return mount, nil
}

// recursiveReadOnly reports whether the pod's runtime can make mounts read-only with all that is mounted below them (KEP-3857). Only
// mounts that want it if possible ask.
func (a *Actor) recursiveReadOnly(ctx context.Context, pod *v1.Pod, c *v1.Container) (bool, error) {
	asks := func(m v1.VolumeMount) bool {
		return ptr.Deref(m.RecursiveReadOnly, v1.RecursiveReadOnlyDisabled) == v1.RecursiveReadOnlyIfPossible
	}
	if a.Handlers == nil || !slices.ContainsFunc(c.VolumeMounts, asks) {
		return false, nil
	}
	name, err := a.handler(ctx, pod)
	if err != nil {
		return false, err
	}
	for _, h := range a.Handlers() {
		if h.Name == name && h.Features != nil {
			return ptr.Deref(h.Features.RecursiveReadOnlyMounts, false), nil
		}
	}
	return false, nil
}

func absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return "/" + path
}

func (a *Actor) podDir(pod *v1.Pod) string { return filepath.Join(a.RootDir, "pods", string(pod.UID)) }

// hostsFile writes the pod's /etc/hosts: the host's own on the host's network.
func (a *Actor) hostsFile(env Environment) (string, error) {
	path := filepath.Join(a.podDir(env.Pod.Pod), "etc-hosts")
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	var b strings.Builder
	if env.Pod.Spec.HostNetwork {
		host, err := os.ReadFile("/etc/hosts")
		if err != nil {
			return "", err
		}
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(host)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nfe00::\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		name := hostname(env.Pod.Pod)
		for _, ip := range env.Pod.PodIPs {
			if sub := env.Pod.Spec.Subdomain; sub != "" {
				fmt.Fprintf(&b, "%s\t%s.%s.%s.svc.%s\t%s\n", ip, name, sub, env.Pod.Namespace, a.ClusterDomain, name)
			} else {
				fmt.Fprintf(&b, "%s\t%s\n", ip, name)
			}
		}
	}
	if len(env.Pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, alias := range env.Pod.Spec.HostAliases {
			fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
		}
	}
	if have, err := os.ReadFile(path); err == nil && string(have) == b.String() {
		return path, nil
	}
	return path, os.WriteFile(path, []byte(b.String()), 0o644)
}

// terminationFile is what the container writes its last words to.
func (a *Actor) terminationFile(pod *v1.Pod, c *v1.Container, attempt int) (string, error) {
	path := filepath.Join(a.podDir(pod), "containers", c.Name, fmt.Sprintf("%08x", attempt))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return path, os.Chmod(path, 0o666) // any user of the container may write
}
