package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"pilotis.dev/pkg/daemon/daemontest"
)

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

// complete runs the options as the command does: parse args, read files, validate.
func complete(t *testing.T, args ...string) (*Options, error) {
	t.Helper()
	o := NewOptions()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	sections := o.Flags()
	for _, s := range sections.FlagSets {
		fs.AddFlagSet(s)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatalf("flags %v: %v", args, err)
	}
	return o, o.Complete()
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	o, err := complete(t)
	if err != nil {
		t.Fatal(err)
	}
	c := o.Config
	if c.Port != 10250 || *c.HealthzPort != 10248 || c.MaxPods != 110 || c.SyncFrequency.Duration != time.Minute || !*c.FailCgroupV1 || !*c.FailSwapOn ||
		c.EvictionHard["memory.available"] != "100Mi" || c.NodeStatusReportFrequency.Duration != 5*time.Minute || *c.Authentication.Anonymous.Enabled {
		t.Errorf("defaults differ from the reference: %+v", c)
	}
}

func TestFlagsWinOverDropInsOverFile(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "config.yaml", head+"maxPods: 10\nclusterDomain: file\nport: 1000\nstaticPodPath: manifests\nfeatureGates: {SidecarContainers: true}\nevictionHard: {memory.available: 1Gi}\n")
	drop := filepath.Join(dir, "d")
	if err := os.MkdirAll(drop, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, drop, "20.conf", head+"maxPods: 30\n")
	write(t, drop, "10.conf", head+"maxPods: 20\nclusterDomain: drop\n")
	write(t, drop, "ignored.yaml", "not read")
	o, err := complete(t, "--config="+file, "--config-dir="+drop, "--port=2000", "--cluster-dns=10.0.0.10,10.0.0.11", "--eviction-hard=nodefs.available<1%")
	if err != nil {
		t.Fatal(err)
	}
	c := o.Config
	if c.MaxPods != 30 || c.ClusterDomain != "drop" || c.Port != 2000 {
		t.Errorf("maxPods %d, clusterDomain %q, port %d; want 30, drop, 2000", c.MaxPods, c.ClusterDomain, c.Port)
	}
	if c.StaticPodPath != filepath.Join(dir, "manifests") {
		t.Errorf("staticPodPath is %q, want it relative to the file's folder", c.StaticPodPath)
	}
	if strings.Join(c.ClusterDNS, " ") != "10.0.0.10 10.0.0.11" {
		t.Errorf("clusterDNS is %v", c.ClusterDNS)
	}
	if len(c.EvictionHard) != 1 || c.EvictionHard["nodefs.available"] != "1%" {
		t.Errorf("evictionHard is %v, want what the flag says alone", c.EvictionHard)
	}
}

func TestFilesAreStrict(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"unknown field":        {head + "maxPod: 3\n", `unknown field "maxPod"`},
		"wrong case":           {head + "maxpods: 3\n", `unknown field "maxpods"`},
		"repeated field":       {head + "maxPods: 3\nmaxPods: 4\n", `"maxPods"`},
		"wrong kind":           {"apiVersion: v1\nkind: Pod\n", "expected KubeletConfiguration"},
		"wrong type":           {head + "maxPods: many\n", "maxPods"},
		"unknown gate":         {head + "featureGates: {NoSuchGate: true}\n", "unrecognized feature gate: NoSuchGate"},
		"locked gate":          {head + "featureGates: {SidecarContainers: false}\n", "SidecarContainers"},
		"missing logging kind": {head + "logging: {formatt: json}\n", `unknown field "logging.formatt"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := complete(t, "--config="+write(t, t.TempDir(), "c.yaml", tt.content))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %s", err, tt.want)
			}
		})
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	c := &kubeletconfig.KubeletConfiguration{}
	setDefaults(c)
	c.ReadOnlyPort, c.Address, c.ClusterDNS, c.CPUManagerPolicy = 70000, "here", []string{"dns"}, "static"
	c.EvictionHard = map[string]string{"memory.avail": "1", "nodefs.available": "120%"}
	c.EvictionSoft = map[string]string{"memory.available": "1Gi"}
	c.SystemReserved = map[string]string{"gpu": "1"}
	c.EnforceNodeAllocatable = []string{"system-reserved"}
	text := validate(c).ToAggregate().Error()
	for _, want := range []string{"readOnlyPort", "address", "clusterDNS[0]", "cpuManagerPolicy", "evictionHard[memory.avail]", "evictionHard[nodefs.available]",
		"evictionSoftGracePeriod[memory.available]", "systemReserved[gpu]", "systemReservedCgroup"} {
		if !strings.Contains(text, want) {
			t.Errorf("no fault names %s in: %s", want, text)
		}
	}
}

// TestFlags holds the list of https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/ but for those that package
// daemon adds to every daemon (logging, --version, --help).
func TestFlags(t *testing.T) {
	daemontest.CheckFlags(t, NewOptions().Flags(), `address allowed-unsafe-sysctls anonymous-auth authentication-token-webhook authentication-token-webhook-cache-ttl
		authorization-mode authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl bootstrap-kubeconfig cert-dir
		cgroup-driver cgroup-root cgroups-per-qos client-ca-file cloud-provider cluster-dns cluster-domain config config-dir
		container-log-max-files container-log-max-size container-runtime-endpoint contention-profiling cpu-cfs-quota cpu-cfs-quota-period
		cpu-manager-policy cpu-manager-policy-options cpu-manager-reconcile-period enable-controller-attach-detach enable-debugging-handlers
		enable-server enforce-node-allocatable event-burst event-qps eviction-hard eviction-max-pod-grace-period eviction-minimum-reclaim
		eviction-pressure-transition-period eviction-soft eviction-soft-grace-period exit-on-lock-contention fail-swap-on feature-gates
		file-check-frequency hairpin-mode healthz-bind-address healthz-port hostname-override http-check-frequency
		image-credential-provider-bin-dir image-credential-provider-config image-gc-high-threshold image-gc-low-threshold
		image-service-endpoint iptables-drop-bit iptables-masquerade-bit keep-terminated-pod-volumes kernel-memcg-notification kube-api-burst
		kube-api-content-type kube-api-qps kube-reserved kube-reserved-cgroup kubeconfig kubelet-cgroups local-storage-capacity-isolation
		lock-file make-iptables-util-chains manifest-url manifest-url-header max-open-files max-pods maximum-dead-containers
		maximum-dead-containers-per-container memory-manager-policy minimum-container-ttl-duration minimum-image-ttl-duration node-ip
		node-labels node-status-max-images node-status-update-frequency oom-score-adj pod-cidr pod-manifest-path pod-max-pids pods-per-core
		port protect-kernel-defaults provider-id qos-reserved read-only-port register-node register-schedulable register-with-taints
		registry-burst registry-qps reserved-cpus resolv-conf root-dir rotate-certificates rotate-server-certificates runtime-cgroups
		runtime-request-timeout seccomp-default serialize-image-pulls show-hidden-metrics-for-version streaming-connection-idle-timeout
		sync-frequency system-cgroups system-reserved system-reserved-cgroup tls-cert-file tls-cipher-suites tls-min-version
		tls-private-key-file topology-manager-policy topology-manager-policy-options topology-manager-scope volume-plugin-dir
		volume-stats-agg-period`)
}

// TestRefusedFields: a field whose job this kubelet does not do stops it, and says why.
func TestRefusedFields(t *testing.T) {
	for _, field := range []string{
		"enableControllerAttachDetach: false", "configMapAndSecretChangeDetectionStrategy: Get", "imagePullCredentialsVerificationPolicy: AlwaysVerify",
		"preloadedImagesVerificationAllowlist: [a]", "enableSystemLogQuery: true", "cpuManagerPolicyOptions: {a: b}", "topologyManagerPolicyOptions: {a: b}",
		"reservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}]", "qosReserved: {memory: 50%}", "memoryThrottlingFactor: 0.8", "memoryReservationPolicy: TieredReservation",
		"tracing: {endpoint: x}", "kernelMemcgNotification: true", "memorySwap: {swapBehavior: LimitedSwap}", "systemCgroups: /system",
		"shutdownGracePeriod: 30s", "shutdownGracePeriodByPodPriority: [{priority: 0, shutdownGracePeriodSeconds: 1}]",
		"cpuManagerPolicy: static", "topologyManagerScope: machine", "runOnce: true", "reservedSystemCPUs: all", "tlsCurvePreferences: [0]",
	} {
		name, _, _ := strings.Cut(field, ":")
		if _, err := complete(t, "--config="+write(t, t.TempDir(), "c.yaml", head+field+"\n")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestReservedCPUs(t *testing.T) {
	o, err := complete(t, "--reserved-cpus=0,2-3", "--system-reserved=cpu=100m,memory=1Gi", "--kube-reserved=cpu=200m")
	if err != nil {
		t.Fatal(err)
	}
	if c := o.Config; c.SystemReserved["cpu"] != "3" || c.SystemReserved["memory"] != "1Gi" || c.KubeReserved["cpu"] != "" {
		t.Errorf("kept for the system %v, for Kubernetes %v", c.SystemReserved, c.KubeReserved)
	}
}

func TestNodeFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--node-labels=node-role.kubernetes.io/control-plane="}, "--node-labels"},
		{[]string{"--node-labels=team=a,node.kubernetes.io/x=y"}, ""},
		{[]string{"--node-ip=10.0.0.1,10.0.0.2"}, "--node-ip"},
		{[]string{"--node-ip=10.0.0.1,fd00::1"}, ""},
		{[]string{"--register-with-taints=a=b:Never"}, "NoSchedule"},
		{[]string{"--bootstrap-kubeconfig=x"}, "--kubeconfig is missing"},
		{[]string{"--cloud-provider=gce"}, "external"},
		{[]string{"--exit-on-lock-contention"}, "--lock-file is missing"},
		{[]string{"--image-credential-provider-config=x"}, "come together"},
		{[]string{"--hostname-override=Node-A"}, ""},
	} {
		o, err := complete(t, tt.args...)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: error %v, want %q", tt.args, err, tt.want)
		}
		if o.HostnameOverride == "Node-A" && o.NodeName != "node-a" {
			t.Errorf("the node's name is %q, want small letters", o.NodeName)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(head + "maxPods: 3\n"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &kubeletconfig.KubeletConfiguration{}
		if decode(data, c) == nil {
			setDefaults(c)
			_ = validate(c)
		}
	})
}
