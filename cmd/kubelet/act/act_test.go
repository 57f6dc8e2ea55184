package act

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/images"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
)

type store struct {
	maps    map[string]map[string]string
	secrets map[string]map[string][]byte
}

func (s store) ConfigMap(_, name string) (*v1.ConfigMap, error) {
	if d, ok := s.maps[name]; ok {
		return &v1.ConfigMap{Data: d}, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, name)
}

func (s store) Secret(_, name string) (*v1.Secret, error) {
	if d, ok := s.secrets[name]; ok {
		return &v1.Secret{Data: d}, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

// capture keeps the configurations that containers are made from.
type capture struct {
	*critest.FakeRuntimeService
	configs map[string]*runtimeapi.ContainerConfig
	stopped []string
	graces  map[string]int64
}

func (c *capture) CreateContainer(ctx context.Context, id string, config *runtimeapi.ContainerConfig, s *runtimeapi.PodSandboxConfig) (string, error) {
	c.configs[config.Metadata.Name] = config
	return c.FakeRuntimeService.CreateContainer(ctx, id, config, s)
}

func (c *capture) StopContainer(ctx context.Context, id string, grace int64) error {
	c.Lock()
	c.stopped = append(c.stopped, id)
	c.graces[id] = grace
	c.Unlock()
	return c.FakeRuntimeService.StopContainer(ctx, id, grace)
}

func actor(t testing.TB, change func(*Config)) (*Actor, *capture) {
	t.Helper()
	f := &capture{FakeRuntimeService: critest.NewFakeRuntimeService(), configs: map[string]*runtimeapi.ContainerConfig{}, graces: map[string]int64{}}
	im := critest.NewFakeImageService()
	im.SetFakeImages([]string{"web:1"})
	r := record.NewFakeRecorder(1000)
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 192.0.2.53\nsearch corp.example.com .\noptions timeout:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Runtime: f, Recorder: r, Images: &images.Manager{Service: im, Recorder: r}, RootDir: t.TempDir(), Logs: observed.Logs{Pods: "/var/log/pods", Links: t.TempDir()}, ResolvConf: resolv,
		ClusterDNS: []string{"10.96.0.10"}, ClusterDomain: "cluster.local", CgroupParent: func(*v1.Pod) string { return "/kubepods/x" },
		Allocatable: func() v1.ResourceList {
			return v1.ResourceList{v1.ResourceMemory: resource.MustParse("1000"), v1.ResourceCPU: resource.MustParse("4")}
		},
		Objects: store{
			maps:    map[string]map[string]string{"settings": {"COLOUR": "blue", "bad=key": "x"}},
			secrets: map[string]map[string][]byte{"keys": {"TOKEN": []byte("t0k")}},
		},
		CPUQuota: true, CPUPeriod: 100 * time.Millisecond, SeccompRoot: "/seccomp",
	}
	knownServices(&c, &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: v1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []v1.ServicePort{{Name: "https", Port: 443, Protocol: v1.ProtocolTCP}}}},
		&v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "my-db"}, Spec: v1.ServiceSpec{ClusterIP: "10.96.0.7", Ports: []v1.ServicePort{{Port: 5432, Protocol: v1.ProtocolTCP}}}})
	if change != nil {
		change(&c)
	}
	return New(c), f
}

func pod(change func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", Labels: map[string]string{"app": "web"}}, Spec: v1.PodSpec{DNSPolicy: v1.DNSClusterFirst, NodeName: "n", Containers: []v1.Container{{Name: "a", Image: "web:1"}}}}
	if change != nil {
		change(p)
	}
	return p
}

func env(list []v1.EnvVar) map[string]string {
	m := map[string]string{}
	for _, e := range list {
		m[e.Name] = e.Value
	}
	return m
}

func TestEnvironment(t *testing.T) {
	a, _ := actor(t, nil)
	p := fields.Pod{Pod: pod(func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Limits = v1.ResourceList{v1.ResourceMemory: resource.MustParse("64Mi")}
	}), PodIPs: []string{"10.0.0.7"}, HostIPs: []string{"192.0.2.1"}}
	c := &p.Spec.Containers[0]
	c.EnvFrom = []v1.EnvFromSource{
		{Prefix: "S_", SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "keys"}}},
		{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}}},
		{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "missing"}, Optional: ptr.To(true)}},
	}
	c.Env = []v1.EnvVar{
		{Name: "A", Value: "1"}, {Name: "B", Value: "$(A)-$(S_TOKEN)-$(MY_DB_SERVICE_HOST)-$(NOBODY)-$$(A)"}, {Name: "COLOUR", Value: "red"},
		{Name: "IP", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		{Name: "APP", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}}},
		{Name: "MEM", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		{Name: "CPU", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.cpu"}}},
		{Name: "KEY", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}, Key: "COLOUR"}}},
		{Name: "GONE", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "keys"}, Key: "none", Optional: ptr.To(true)}}},
	}
	list, err := a.environment(p, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := env(list)
	for name, want := range map[string]string{
		"S_TOKEN": "t0k", "COLOUR": "red", "A": "1", "B": "1-t0k-10.96.0.7-$(NOBODY)-$(A)", "IP": "10.0.0.7", "APP": "web", "MEM": "64", "CPU": "4", "KEY": "blue",
		"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT_HTTPS": "443", "KUBERNETES_PORT_443_TCP_ADDR": "10.96.0.1", "MY_DB_PORT": "tcp://10.96.0.7:5432",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"bad=key", "GONE"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is set", name)
		}
	}
	p.Spec.EnableServiceLinks = ptr.To(false)
	list, _ = a.environment(p, &v1.Container{}, nil)
	if got := env(list); got["MY_DB_SERVICE_HOST"] != "" || got["KUBERNETES_SERVICE_HOST"] == "" {
		t.Error("without service links the API's Service alone is there")
	}
}

func TestEnvironmentFaults(t *testing.T) {
	a, _ := actor(t, nil)
	for name, c := range map[string]*v1.Container{
		"missing ConfigMap": {EnvFrom: []v1.EnvFromSource{{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "missing"}}}}},
		"missing key":       {Env: []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}, Key: "none"}}}}},
		"unknown field":     {Env: []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "spec.secret"}}}}},
	} {
		if _, err := a.environment(fields.Pod{Pod: pod(nil)}, c, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDNSByPolicy(t *testing.T) {
	a, _ := actor(t, nil)
	for _, tt := range []struct {
		name                       string
		change                     func(*v1.Pod)
		servers, searches, options string
	}{
		{"ClusterFirst", nil, "10.96.0.10", "ns.svc.cluster.local svc.cluster.local cluster.local corp.example.com", "ndots:5"},
		{"Default", func(p *v1.Pod) { p.Spec.DNSPolicy = v1.DNSDefault }, "192.0.2.53", "corp.example.com", "timeout:1"},
		{"ClusterFirst on the host's network", func(p *v1.Pod) { p.Spec.HostNetwork = true }, "192.0.2.53", "corp.example.com", "timeout:1"},
		{"ClusterFirstWithHostNet", func(p *v1.Pod) { p.Spec.HostNetwork, p.Spec.DNSPolicy = true, v1.DNSClusterFirstWithHostNet }, "10.96.0.10", "ns.svc.cluster.local svc.cluster.local cluster.local corp.example.com", "ndots:5"},
		{"None", func(p *v1.Pod) {
			p.Spec.DNSPolicy = v1.DNSNone
			p.Spec.DNSConfig = &v1.PodDNSConfig{Nameservers: []string{"192.0.2.9"}, Searches: []string{"x.org"}, Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}, {Name: "edns0"}}}
		}, "192.0.2.9", "x.org", "ndots:2 edns0"},
		{"more is merged", func(p *v1.Pod) {
			p.Spec.DNSConfig = &v1.PodDNSConfig{Nameservers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, Searches: []string{"cluster.local"}, Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}}}
		}, "10.96.0.10 192.0.2.1 192.0.2.2", "ns.svc.cluster.local svc.cluster.local cluster.local corp.example.com", "ndots:2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := a.dns(pod(tt.change))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(d.Servers, " "); got != tt.servers {
				t.Errorf("servers %s, want %s", got, tt.servers)
			}
			if got := strings.Join(d.Searches, " "); got != tt.searches {
				t.Errorf("searches %s, want %s", got, tt.searches)
			}
			if got := strings.Join(d.Options, " "); got != tt.options {
				t.Errorf("options %s, want %s", got, tt.options)
			}
		})
	}
}

func TestSandbox(t *testing.T) {
	a, f := actor(t, nil)
	a.Logs.Pods = t.TempDir()
	p := pod(func(p *v1.Pod) {
		p.Spec.Hostname, p.Annotations = strings.Repeat("h", 70), map[string]string{"note": "x"}
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: v1.ProtocolUDP, HostIP: "192.0.2.1"}, {ContainerPort: 81}}
		p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: ptr.To[int64](5), FSGroup: ptr.To[int64](9), Sysctls: []v1.Sysctl{{Name: "net.core.somaxconn", Value: "9"}}}
		p.Spec.ShareProcessNamespace = ptr.To(true)
	})
	config, err := a.SandboxConfig(p, 2)
	if err != nil {
		t.Fatal(err)
	}
	if config.Metadata.Attempt != 2 || config.Metadata.Uid != "u" || config.Labels[observed.LabelPodUID] != "u" || config.Labels["app"] != "web" || config.Annotations["note"] != "x" || config.LogDirectory != filepath.Join(a.Logs.Pods, "ns_web_u") {
		t.Errorf("sandbox %+v", config)
	}
	if len(config.Hostname) != 63 {
		t.Errorf("the host's name has %d bytes, the kernel takes 63", len(config.Hostname))
	}
	if len(config.PortMappings) != 1 || config.PortMappings[0].HostPort != 8080 || config.PortMappings[0].Protocol != runtimeapi.Protocol_UDP || config.PortMappings[0].HostIp != "192.0.2.1" {
		t.Errorf("ports %v", config.PortMappings)
	}
	sc := config.Linux.SecurityContext
	if sc.RunAsUser.Value != 5 || !slices.Equal(sc.SupplementalGroups, []int64{9}) || sc.NamespaceOptions.Pid != runtimeapi.NamespaceMode_POD || config.Linux.Sysctls["net.core.somaxconn"] != "9" || config.Linux.CgroupParent != "/kubepods/x" {
		t.Errorf("linux %+v", config.Linux)
	}
	p.Spec.HostNetwork, p.Spec.HostPID, p.Spec.HostIPC = true, true, true
	config, err = a.SandboxConfig(p, 0)
	if o := config.Linux.SecurityContext.NamespaceOptions; err != nil || o.Network != runtimeapi.NamespaceMode_NODE || o.Pid != runtimeapi.NamespaceMode_NODE || o.Ipc != runtimeapi.NamespaceMode_NODE || len(config.PortMappings) != 0 || config.Hostname != "" {
		t.Errorf("a pod of the host's namespaces: %+v, error %v", config, err)
	}
	f.ErrorOnSandboxCreate = true
	if _, err := a.CreateSandbox(t.Context(), pod(nil), 0); err == nil {
		t.Error("a failure is not told")
	}
}

func TestSecurity(t *testing.T) {
	a, _ := actor(t, nil)
	p := pod(func(p *v1.Pod) {
		p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: ptr.To[int64](5), RunAsGroup: ptr.To[int64](6), SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeRuntimeDefault}}
		p.Spec.Containers[0].SecurityContext = &v1.SecurityContext{RunAsUser: ptr.To[int64](7), AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true), Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_ADMIN"}, Drop: []v1.Capability{"ALL"}}}
	})
	got := secure(a, p)
	if got.RunAsUser.Value != 7 || got.RunAsGroup.Value != 6 || !got.NoNewPrivs || !got.ReadonlyRootfs || got.Capabilities.AddCapabilities[0] != "NET_ADMIN" || got.Capabilities.DropCapabilities[0] != "ALL" || len(got.MaskedPaths) == 0 || got.Seccomp.ProfileType != runtimeapi.SecurityProfile_RuntimeDefault {
		t.Errorf("security %+v", got)
	}
	p.Spec.Containers[0].SecurityContext = &v1.SecurityContext{Privileged: ptr.To(true), ProcMount: ptr.To(v1.UnmaskedProcMount), SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr.To("a.json")}}
	got = secure(a, p)
	if !got.Privileged || len(got.MaskedPaths) != 0 || got.Seccomp.LocalhostRef != "/seccomp/a.json" || got.RunAsUser.Value != 5 {
		t.Errorf("security %+v", got)
	}
	p.Spec.Containers[0].SecurityContext.SeccompProfile.LocalhostProfile = nil
	if got = secure(a, p); got.Seccomp.ProfileType != runtimeapi.SecurityProfile_Localhost || got.Seccomp.LocalhostRef == "/seccomp" {
		t.Errorf("an empty profile name gives %+v (CVE-2023-2431)", got.Seccomp)
	}
	a.SeccompDefault = true
	if got = secure(a, pod(nil)); got.Seccomp.ProfileType != runtimeapi.SecurityProfile_RuntimeDefault {
		t.Errorf("seccompDefault gives %+v", got.Seccomp)
	}
}

func TestTheImagesUserRunsAGroupWithoutUser(t *testing.T) {
	a, _ := actor(t, nil)
	p := pod(func(p *v1.Pod) { p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsGroup: ptr.To[int64](6)} })
	for _, tt := range []struct {
		image images.Image
		user  string
		uid   *int64
	}{
		{images.Image{UID: ptr.To[int64](7)}, "", ptr.To[int64](7)},
		{images.Image{User: "web"}, "web", nil},
		{images.Image{}, "", ptr.To[int64](0)},
	} {
		got := a.security(p, &p.Spec.Containers[0], tt.image, nil, nil)
		if got.RunAsUsername != tt.user || (got.RunAsUser != nil) != (tt.uid != nil) || got.RunAsUser.GetValue() != ptr.Deref(tt.uid, 0) || got.RunAsGroup.GetValue() != 6 {
			t.Errorf("%+v runs as %q, %v", tt.image, got.RunAsUsername, got.RunAsUser)
		}
	}
}

func TestSubPathsMayHaveDotsInTheirNames(t *testing.T) {
	a, _ := actor(t, func(c *Config) {
		c.SubPath = func(_ types.UID, _ string, _ int, _, path, sub string, _ bool) (string, error) {
			return path + "/" + sub, nil
		}
	})
	environment := Environment{Pod: fields.Pod{Pod: pod(nil)}, Volumes: map[string]Volume{"v": {HostPath: "/host/v"}}}
	for _, sub := range []string{"a..b", "..data/key"} {
		m, err := a.volumeMount(environment, "a", 0, v1.VolumeMount{Name: "v", MountPath: "/x", SubPath: sub}, nil)
		if err != nil || m.HostPath != "/host/v/"+sub {
			t.Errorf("%s: mounts %v, error %v", sub, m, err)
		}
	}
}

func TestMountsAreRecursivelyReadOnlyWhereTheRuntimeCan(t *testing.T) {
	a, _ := actor(t, func(c *Config) {
		c.RuntimeHandler = func(_ context.Context, class string) (string, error) { return class + "-handler", nil }
		c.Handlers = func() []v1.NodeRuntimeHandler {
			return []v1.NodeRuntimeHandler{
				{Name: "", Features: &v1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: ptr.To(true)}},
				{Name: "old-handler", Features: &v1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: ptr.To(false)}},
			}
		}
	})
	for _, tt := range []struct {
		class    *string
		mode     v1.RecursiveReadOnlyMode
		readOnly bool
		want     bool
	}{
		{nil, v1.RecursiveReadOnlyIfPossible, true, true},
		{nil, v1.RecursiveReadOnlyIfPossible, false, false},
		{nil, v1.RecursiveReadOnlyDisabled, true, false},
		{ptr.To("old"), v1.RecursiveReadOnlyIfPossible, true, false},
		{ptr.To("new"), v1.RecursiveReadOnlyIfPossible, true, false},
		{ptr.To("old"), v1.RecursiveReadOnlyEnabled, true, true},
	} {
		p := pod(func(p *v1.Pod) {
			p.Spec.RuntimeClassName = tt.class
			p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/x", ReadOnly: tt.readOnly, RecursiveReadOnly: &tt.mode}}
		})
		environment := Environment{Pod: fields.Pod{Pod: p}, Volumes: map[string]Volume{"v": {HostPath: "/host/v"}}}
		var err error
		if environment.recursiveReadOnly, err = a.recursiveReadOnly(t.Context(), p, &p.Spec.Containers[0]); err != nil {
			t.Fatal(err)
		}
		m, err := a.volumeMount(environment, "a", 0, p.Spec.Containers[0].VolumeMounts[0], nil)
		if err != nil || m.RecursiveReadOnly != tt.want {
			t.Errorf("%s of class %q, read-only %v: %v (error %v), want %v", tt.mode, ptr.Deref(tt.class, ""), tt.readOnly, m.GetRecursiveReadOnly(), err, tt.want)
		}
	}
}

func TestVerifyNonRoot(t *testing.T) {
	must := func(user *int64) *v1.Pod {
		return pod(func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: user}
		})
	}
	for _, tt := range []struct {
		name string
		pod  *v1.Pod
		uid  *int64
		user string
		ok   bool
	}{
		{"nobody asks", pod(nil), ptr.To[int64](0), "", true},
		{"the image is root's", must(nil), ptr.To[int64](0), "", false},
		{"the image names nobody", must(nil), nil, "", false},
		{"the image has a number", must(nil), ptr.To[int64](7), "", true},
		{"the image has a name", must(nil), nil, "web", false},
		{"the pod says who", must(ptr.To[int64](7)), ptr.To[int64](0), "", true},
		{"the pod says root", must(ptr.To[int64](0)), nil, "", false},
	} {
		if err := verifyNonRoot(tt.pod, &tt.pod.Spec.Containers[0], tt.uid, tt.user); (err == nil) != tt.ok {
			t.Errorf("%s: error %v, want allowed %v", tt.name, err, tt.ok)
		}
	}
}

func TestOOMScores(t *testing.T) {
	a, _ := actor(t, nil)
	requests := func(memory string) *v1.Pod {
		return pod(func(p *v1.Pod) {
			p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceMemory: resource.MustParse(memory)}
		})
	}
	guaranteed := requests("10")
	guaranteed.Spec.Containers[0].Resources = v1.ResourceRequirements{Limits: v1.ResourceList{v1.ResourceMemory: resource.MustParse("10"), v1.ResourceCPU: resource.MustParse("1")}}
	critical := pod(func(p *v1.Pod) { p.Spec.Priority = ptr.To[int32](2000001000) })
	for _, tt := range []struct {
		pod  *v1.Pod
		want int64
	}{{pod(nil), 1000}, {guaranteed, -997}, {critical, -997}, {requests("200"), 800}, {requests("1"), 999}, {requests("1000"), 3}} {
		if got := a.oomScore(tt.pod, &tt.pod.Spec.Containers[0]); got != tt.want {
			t.Errorf("score %d, want %d for %v", got, tt.want, tt.pod.Spec.Containers[0].Resources)
		}
	}
}

func TestStartMakesWhatCrictlAndLogCollectorsRead(t *testing.T) {
	a, f := actor(t, func(c *Config) {
		c.SubPath = func(uid types.UID, container string, index int, _, path, sub string, _ bool) (string, error) {
			return fmt.Sprintf("%s/%s/%s/%d", path, container, sub, index), nil
		}
	})
	logs := t.TempDir()
	p := pod(func(p *v1.Pod) {
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](12)
		p.Spec.Subdomain, p.Spec.HostAliases = "set", []v1.HostAlias{{IP: "192.0.2.8", Hostnames: []string{"x", "y"}}}
		p.Spec.Containers[0].Command, p.Spec.Containers[0].Env = []string{"run", "$(WHO)"}, []v1.EnvVar{{Name: "WHO", Value: "me"}}
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{StopSignal: ptr.To(v1.SIGRTMINPLUS3)}
		p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/data"}, {Name: "v", MountPath: "sub", SubPathExpr: "of/$(WHO)", ReadOnly: true}, {Name: "host", MountPath: "/srv"}}
	})
	sandbox, err := a.SandboxConfig(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	sandbox.LogDirectory = logs
	environment := Environment{Pod: fields.Pod{Pod: p, PodIPs: []string{"10.0.0.7"}}, SandboxID: "s", Sandbox: sandbox, Volumes: map[string]Volume{"v": {HostPath: "/host/v", SELinuxRelabel: true}, "host": {HostPath: "/srv"}}}
	if err := a.Start(t.Context(), environment, plan.Start{Container: &p.Spec.Containers[0], Kind: plan.Regular, Attempt: 3}); err != nil {
		t.Fatal(err)
	}
	c := f.configs["a"]
	if c.Metadata.Attempt != 3 || c.LogPath != "a/3.log" || strings.Join(c.Command, " ") != "run me" || c.StopSignal != runtimeapi.Signal_SIGNAL_SIGRTMINPLUS3 {
		t.Errorf("container %+v", c)
	}
	if c.Labels[observed.LabelContainerName] != "a" || c.Labels[observed.LabelPodNamespace] != "ns" || c.Annotations[observed.AnnotationRestartCount] != "3" || c.Annotations[observed.AnnotationPodGrace] != "12" || c.Annotations[observed.AnnotationHash] == "" {
		t.Errorf("labels %v, annotations %v", c.Labels, c.Annotations)
	}
	mounts := map[string]*runtimeapi.Mount{}
	for _, m := range c.Mounts {
		mounts[m.ContainerPath] = m
	}
	for path, relabel := range map[string]bool{"/data": true, "/sub": true, "/srv": false, "/etc/hosts": true, "/dev/termination-log": true} {
		if m := mounts[path]; m.GetSelinuxRelabel() != relabel {
			t.Errorf("%s gets the container's SELinux label: %v, want %v", path, !relabel, relabel)
		}
	}
	if m := mounts["/data"]; m == nil || m.HostPath != "/host/v" || m.Readonly {
		t.Errorf("mount of the volume: %v", m)
	}
	if m := mounts["/sub"]; m == nil || m.HostPath != "/host/v/a/of/me/1" || !m.Readonly {
		t.Errorf("mount of a folder of the volume: %v", m)
	}
	if m := mounts["/dev/termination-log"]; m == nil {
		t.Error("there is no place for last words")
	}
	hosts, err := os.ReadFile(mounts["/etc/hosts"].HostPath)
	if err != nil || !strings.Contains(string(hosts), "10.0.0.7\tweb.set.ns.svc.cluster.local\tweb\n") || !strings.Contains(string(hosts), "192.0.2.8\tx\ty\n") {
		t.Errorf("/etc/hosts (error %v):\n%s", err, hosts)
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*v1.Container)
		inject string
		want   string
		event  string // the last one
	}{
		{"image", func(c *v1.Container) { c.Image, c.ImagePullPolicy = "other:1", v1.PullNever }, "", "ErrImageNeverPull", "Warning Failed Error: ErrImageNeverPull"},
		{"configuration", func(c *v1.Container) {
			c.EnvFrom = []v1.EnvFromSource{{SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "missing"}}}}
		}, "", ReasonCreateConfigError, `Warning Failed Error: secrets "missing" not found`},
		{"volume", func(c *v1.Container) { c.VolumeMounts = []v1.VolumeMount{{Name: "none", MountPath: "/x"}} }, "", ReasonCreateConfigError, "Warning Failed Error: "},
		{"create", nil, "CreateContainer", ReasonCreateError, "Warning Failed Error: injected"},
		{"start", nil, "StartContainer", ReasonRunError, "Warning Failed Error: injected"},
		{"postStart", func(c *v1.Container) {
			c.Lifecycle = &v1.Lifecycle{PostStart: &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"x"}}}}
		}, "ExecSync", ReasonPostStart, "Normal Killing FailedPostStartHook"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, f := actor(t, nil)
			p := pod(nil)
			if tt.change != nil {
				tt.change(&p.Spec.Containers[0])
			}
			if tt.inject != "" {
				f.InjectError(tt.inject, grpcstatus.Error(codes.Unknown, "injected"))
			}
			sandbox, err := a.SandboxConfig(p, 0)
			if err != nil {
				t.Fatal(err)
			}
			sandbox.LogDirectory = t.TempDir()
			err = a.Start(t.Context(), Environment{Pod: fields.Pod{Pod: p}, SandboxID: "s", Sandbox: sandbox}, plan.Start{Container: &p.Spec.Containers[0], Kind: plan.Regular})
			failure, ok := err.(*Failure)
			if !ok || failure.Reason != tt.want {
				t.Errorf("error %v, want reason %s", err, tt.want)
			}
			if err != nil && strings.HasPrefix(err.Error(), "rpc error") {
				t.Errorf("users are told of gRPC: %v", err)
			}
			var last string
			for events := a.Recorder.(*record.FakeRecorder).Events; len(events) > 0; {
				last = <-events
			}
			if !strings.HasPrefix(last, tt.event) {
				t.Errorf("the last event is %q, want %q", last, tt.event)
			}
		})
	}
}

func alive(f *capture, name string) *observed.Container {
	f.Containers[name] = &critest.FakeContainer{ContainerStatus: runtimeapi.ContainerStatus{Id: name, State: runtimeapi.ContainerState_CONTAINER_RUNNING, Metadata: &runtimeapi.ContainerMetadata{Name: name}}}
	return &observed.Container{ID: name, Name: name, State: runtimeapi.ContainerState_CONTAINER_RUNNING}
}

func TestKillPodEndsSidecarsLastAndInReverse(t *testing.T) {
	a, f := actor(t, nil)
	always := ptr.To(v1.ContainerRestartPolicyAlways)
	p := pod(func(p *v1.Pod) {
		p.Spec.InitContainers = []v1.Container{{Name: "s1", RestartPolicy: always}, {Name: "s2", RestartPolicy: always}}
		p.Spec.Containers = []v1.Container{{Name: "a"}, {Name: "b"}}
	})
	o := &observed.Pod{Containers: []*observed.Container{alive(f, "s1"), alive(f, "a"), alive(f, "s2"), alive(f, "b")}}
	if err := a.KillPod(t.Context(), fields.Pod{Pod: p}, o, 30*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if len(f.stopped) != 4 || f.stopped[2] != "s2" || f.stopped[3] != "s1" {
		t.Errorf("stopped in the order %v, want a and b, then s2, s1", f.stopped)
	}
}

// stubborn containers end by SIGKILL only.
type stubborn struct{ *capture }

func (s stubborn) StopContainer(ctx context.Context, id string, grace int64) error {
	select {
	case <-time.After(time.Duration(grace) * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.capture.StopContainer(ctx, id, grace)
}

func podWithSidecars(f *capture, names ...string) (*v1.Pod, *observed.Pod) {
	o := &observed.Pod{Containers: []*observed.Container{alive(f, "a")}}
	p := pod(func(p *v1.Pod) {
		for _, name := range names {
			p.Spec.InitContainers = append(p.Spec.InitContainers, v1.Container{Name: name, RestartPolicy: ptr.To(v1.ContainerRestartPolicyAlways)})
			o.Containers = append(o.Containers, alive(f, name))
		}
	})
	return p, o
}

func TestKillPodRunsHooksOfSidecarsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, f := actor(t, nil)
		a.Runtime = stubborn{f}
		p, o := podWithSidecars(f, "s1", "s2")
		for i := range p.Spec.InitContainers {
			p.Spec.InitContainers[i].Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: 5}}}
		}
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			if events := len(a.Recorder.(*record.FakeRecorder).Events); events != 3 {
				t.Errorf("after a second %d containers are told that they end, want 3", events)
			}
		}()
		if err := a.KillPod(t.Context(), fields.Pod{Pod: p}, o, 6*time.Second, ""); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 8*time.Second || f.graces["s1"] != 2 || f.graces["s2"] != 2 {
			t.Errorf("all ended after %v, given %v", took, f.graces)
		}
	})
}

func TestSidecarsThatIgnoreTheirEndShareTheMinimalGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, f := actor(t, nil)
		a.Runtime = stubborn{f}
		p, o := podWithSidecars(f, "s1", "s2", "s3", "s4", "s5")
		began := time.Now()
		if err := a.KillPod(t.Context(), fields.Pod{Pod: p}, o, 4*time.Second, ""); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("the pod took %v to end, want its 4 s and the 2 s that each container has", took)
		}
	})
}

func TestKillPodStopsWaitingWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, f := actor(t, nil)
		a.Runtime = stubborn{f}
		p, o := podWithSidecars(f, "s1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := a.KillPod(ctx, fields.Pod{Pod: p}, o, time.Minute, ""); err == nil || time.Since(began) != time.Second || len(f.stopped) != 0 {
			t.Errorf("error %v after %v, stopped %v", err, time.Since(began), f.stopped)
		}
	})
}

func TestPreStopTakesOfTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ sleep, grace, want int64 }{{4, 10, 6}, {60, 10, 2}, {4, 0, 0}} {
			a, f := actor(t, nil)
			p := pod(func(p *v1.Pod) {
				p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: tt.sleep}}}
			})
			began := time.Now()
			if err := a.Kill(t.Context(), fields.Pod{Pod: p}, alive(f, "a"), "because", time.Duration(tt.grace)*time.Second); err != nil {
				t.Fatal(err)
			}
			if f.graces["a"] != tt.want || time.Since(began) > time.Duration(tt.grace)*time.Second {
				t.Errorf("a hook of %d s in %d s leaves %d s after %v, want %d s", tt.sleep, tt.grace, f.graces["a"], time.Since(began), tt.want)
			}
		}
	})
}

func TestGrace(t *testing.T) {
	p := pod(nil)
	if Grace(p) != 30*time.Second {
		t.Errorf("by default %v", Grace(p))
	}
	p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](5)
	if Grace(p) != 5*time.Second {
		t.Errorf("the pod's own: %v", Grace(p))
	}
	p.DeletionGracePeriodSeconds = ptr.To[int64](1)
	if Grace(p) != time.Second {
		t.Errorf("a deletion's own: %v", Grace(p))
	}
}

func TestProbeGraceIsThatOfTheProbeThatFailed(t *testing.T) {
	seconds := func(s int64) *v1.Probe { return &v1.Probe{TerminationGracePeriodSeconds: &s} }
	for _, tt := range []struct {
		name              string
		startup, liveness *v1.Probe
		started           bool
		want              time.Duration
	}{
		{"liveness, which has one", seconds(7), seconds(2), true, 2 * time.Second},
		{"startup, which has one", seconds(7), seconds(2), false, 7 * time.Second},
		{"liveness, which has none", seconds(7), &v1.Probe{}, true, 5 * time.Second},
		{"startup, which has none", &v1.Probe{}, seconds(2), false, 5 * time.Second},
		{"a probe that is gone", nil, nil, true, 5 * time.Second},
	} {
		p := pod(func(p *v1.Pod) {
			p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](5)
			p.Spec.Containers[0].StartupProbe, p.Spec.Containers[0].LivenessProbe = tt.startup, tt.liveness
		})
		if got := ProbeGrace(p, "a", tt.started); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := ProbeGrace(pod(nil), "none", true); got != 30*time.Second {
		t.Errorf("a container that the pod does not name: %v", got)
	}
}

func FuzzResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 1.2.3.4\nsearch a b\noptions ndots:1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "r")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := readResolvConf(path); err == nil {
			_ = fitSearches(unique(c.Searches))
		}
	})
}
