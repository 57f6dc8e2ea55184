package phases

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

// Components of the control plane, in the order in which they are started and upgraded.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// Seconds between two probes. A startup probe asks often: it holds back readiness, and with it everything that waits for the pod.
const (
	livenessPeriod = 10
	startupPeriod  = 2
)

// component is what distinguishes one static pod from the next.
type component struct {
	name        string
	image       string
	annotations map[string]string
	defaults    []config.Arg // in alphabetical order
	extra       []config.Arg
	envs        []config.EnvVar
	cpu, memory string
	mounts      []config.HostPathMount
	probe       probe
}

// probe says where a component's health is served. An empty ready path means no readiness probe.
type probe struct {
	host                 string
	port                 int32
	scheme               corev1.URIScheme
	live, ready, startup string
}

// StaticPod returns the manifest of a control plane component.
func (n *Node) StaticPod(name string) (*corev1.Pod, error) {
	var c component
	switch name {
	case Etcd:
		c = n.etcd()
	case APIServer:
		c = n.apiServer()
	case ControllerManager:
		c = n.controllerManager()
	case Scheduler:
		c = n.scheduler()
	default:
		return nil, fmt.Errorf("unknown component %q", name)
	}
	pod := n.pod(c)
	return patched(n.PatchesDir, name, pod)
}

func (n *Node) pod(c component) *corev1.Pod {
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	sort.SliceStable(c.mounts, func(i, j int) bool { return c.mounts[i].Name < c.mounts[j].Name })
	for _, m := range c.mounts {
		pathType := m.PathType
		volumes = append(volumes, corev1.Volume{Name: m.Name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: m.HostPath, Type: &pathType}}})
		mounts = append(mounts, corev1.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(c.cpu)}
	if c.memory != "" {
		requests[corev1.ResourceMemory] = resource.MustParse(c.memory)
	}
	var env []corev1.EnvVar
	for _, e := range c.envs {
		env = append(env, e.EnvVar)
	}
	container := corev1.Container{
		Name: c.name, Image: c.image, ImagePullPolicy: n.Registration.ImagePullPolicy,
		Command:       append([]string{c.name}, mergeArgs(c.defaults, c.extra)...),
		Env:           env,
		Resources:     corev1.ResourceRequirements{Requests: requests},
		Ports:         []corev1.ContainerPort{{Name: "probe-port", ContainerPort: c.probe.port, Protocol: corev1.ProtocolTCP}},
		VolumeMounts:  mounts,
		LivenessProbe: c.probe.check(c.probe.live, 8, livenessPeriod, 10),
		StartupProbe:  c.probe.check(c.probe.startup, n.startupFailures(), startupPeriod, 0),
	}
	if c.probe.ready != "" {
		container.ReadinessProbe = c.probe.check(c.probe.ready, 3, 1, 0)
	}
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: c.name, Namespace: metav1.NamespaceSystem, Annotations: c.annotations,
			Labels: map[string]string{"component": c.name, "tier": "control-plane"},
		},
		Spec: corev1.PodSpec{
			Containers:        []corev1.Container{container},
			HostNetwork:       true,
			Priority:          ptr.To[int32](2000001000), // what system-node-critical resolves to; no admission sees a static pod
			PriorityClassName: "system-node-critical",
			SecurityContext:   &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Volumes:           volumes,
		},
	}
}

// startupFailures spreads the time a component has to become healthy over probe periods.
func (n *Node) startupFailures() int32 {
	return int32((n.Timeouts.ControlPlaneComponentHealthCheck.Duration.Seconds() + startupPeriod - 1) / startupPeriod)
}

func (p probe) check(path string, failures, period, initial int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Host: p.host, Path: path, Port: intstr.FromString("probe-port"), Scheme: p.scheme,
		}},
		InitialDelaySeconds: initial, TimeoutSeconds: 15, PeriodSeconds: period, FailureThreshold: failures,
	}
}

// mergeArgs renders arguments as --name=value. What a user gives replaces the defaults of the same name; names given several
// times are all kept, in order. The result is ordered by name, so that a manifest changes only when its meaning does.
func mergeArgs(defaults, extra []config.Arg) []string {
	overridden := map[string]bool{}
	for _, arg := range extra {
		overridden[arg.Name] = true
	}
	var all []config.Arg
	for _, arg := range defaults {
		if !overridden[arg.Name] {
			all = append(all, arg)
		}
	}
	all = append(all, extra...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	out := make([]string, 0, len(all))
	for _, arg := range all {
		out = append(out, "--"+arg.Name+"="+arg.Value)
	}
	return out
}

// argOf returns the value users gave a flag, the last of several, or what it is otherwise.
func argOf(extra []config.Arg, name, otherwise string) string {
	for _, arg := range extra {
		if arg.Name == name {
			otherwise = arg.Value
		}
	}
	return otherwise
}

// probeHost turns a bind address into one that can be asked: the wildcard means loopback.
func probeHost(bind string) string {
	switch ip := net.ParseIP(bind); {
	case ip == nil:
		return "127.0.0.1"
	case ip.IsUnspecified() && ip.To4() == nil:
		return "::1"
	case ip.IsUnspecified():
		return "127.0.0.1"
	}
	return bind
}

func portOf(extra []config.Arg, name string, otherwise int32) int32 {
	port, err := strconv.Atoi(argOf(extra, name, strconv.Itoa(int(otherwise))))
	if err != nil || port < 1 || port > 65535 {
		return otherwise
	}
	return int32(port)
}

// caMounts are the places where distributions keep public authorities; those that exist on the node are mounted.
func caMounts(exists func(string) bool) []config.HostPathMount {
	list := []config.HostPathMount{{Name: "ca-certs", HostPath: "/etc/ssl/certs", MountPath: "/etc/ssl/certs", ReadOnly: true, PathType: corev1.HostPathDirectoryOrCreate}}
	for name, path := range map[string]string{
		"etc-pki-ca-trust":                "/etc/pki/ca-trust",
		"etc-pki-tls-certs":               "/etc/pki/tls/certs",
		"etc-ca-certificates":             "/etc/ca-certificates",
		"usr-share-ca-certificates":       "/usr/share/ca-certificates",
		"usr-local-share-ca-certificates": "/usr/local/share/ca-certificates",
	} {
		if exists(path) {
			list = append(list, config.HostPathMount{Name: name, HostPath: path, MountPath: path, ReadOnly: true, PathType: corev1.HostPathDirectoryOrCreate})
		}
	}
	return list
}

func (n *Node) certificatesMount(name string) config.HostPathMount {
	return config.HostPathMount{Name: name, HostPath: n.Cluster.CertificatesDir, MountPath: n.Cluster.CertificatesDir, ReadOnly: true, PathType: corev1.HostPathDirectoryOrCreate}
}

func kubeconfigMount(file string) config.HostPathMount {
	path := filepath.Join(KubernetesDir, file)
	return config.HostPathMount{Name: "kubeconfig", HostPath: path, MountPath: path, ReadOnly: true, PathType: corev1.HostPathFileOrCreate}
}

// pki returns the path of a file below the certificates folder, as the component sees it.
func (n *Node) pki(file string) string { return filepath.Join(n.Cluster.CertificatesDir, file) }

// RenderStaticPod returns a component's manifest as YAML.
func (n *Node) RenderStaticPod(name string) ([]byte, error) {
	pod, err := n.StaticPod(name)
	if err != nil {
		return nil, err
	}
	return renderManifest(pod)
}

// ControlPlanePod writes the manifest of one component into the kubelet's folder.
func (n *Node) ControlPlanePod(_ context.Context, name string) error {
	data, err := n.RenderStaticPod(name)
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", name, err)
	}
	if name == Etcd {
		n.say("etcd", "Creating static Pod manifest for local etcd in %q", ManifestsDir)
	} else {
		n.say("control-plane", "Creating static Pod manifest for %q", name)
	}
	return certs.WriteFile(n.Manifest(name), data, 0o600)
}

// joinList writes a list flag's value.
func joinList(items ...string) string { return strings.Join(items, ",") }
