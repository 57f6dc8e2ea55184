package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
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
