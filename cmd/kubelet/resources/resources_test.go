package resources

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

func list(cpu, memory string) v1.ResourceList {
	l := v1.ResourceList{}
	if cpu != "" {
		l[v1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		l[v1.ResourceMemory] = resource.MustParse(memory)
	}
	return l
}

func with(requests, limits v1.ResourceList) v1.Container {
	return v1.Container{Resources: v1.ResourceRequirements{Requests: requests, Limits: limits}}
}

func TestQOSClass(t *testing.T) {
	full := with(list("1", "1Gi"), list("1", "1Gi"))
	for _, tt := range []struct {
		name       string
		containers []v1.Container
		init       []v1.Container
		want       v1.PodQOSClass
	}{
		{"nothing asked for", []v1.Container{{}}, nil, v1.PodQOSBestEffort},
		{"requests equal limits", []v1.Container{full, full}, nil, v1.PodQOSGuaranteed},
		{"limits alone are requests too", []v1.Container{with(nil, list("1", "1Gi"))}, nil, v1.PodQOSGuaranteed},
		{"one container without", []v1.Container{full, {}}, nil, v1.PodQOSBurstable},
		{"memory alone", []v1.Container{with(list("", "1Gi"), list("", "1Gi"))}, nil, v1.PodQOSBurstable},
		{"less requested than allowed", []v1.Container{with(list("1", "1Gi"), list("2", "1Gi"))}, nil, v1.PodQOSBurstable},
		{"init containers count", []v1.Container{full}, []v1.Container{{}}, v1.PodQOSBurstable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := QOSClass(&v1.Pod{Spec: v1.PodSpec{Containers: tt.containers, InitContainers: tt.init}}); got != tt.want {
				t.Errorf("class %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSharesAndQuota(t *testing.T) {
	for _, tt := range []struct{ milli, shares, quota int64 }{{0, 2, 0}, {1, 2, 1000}, {100, 102, 10000}, {1000, 1024, 100000}, {2500, 2560, 250000}, {1000000, 262144, 100000000}} {
		if got := Shares(tt.milli); got != tt.shares {
			t.Errorf("%dm is %d shares, want %d", tt.milli, got, tt.shares)
		}
		if got := Quota(tt.milli, 100000); got != tt.quota {
			t.Errorf("%dm is a quota of %d, want %d", tt.milli, got, tt.quota)
		}
	}
}

func TestCgroupNames(t *testing.T) {
	pod := func(c v1.Container) *v1.Pod {
		p := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{c}}}
		p.UID = "12-34"
		return p
	}
	for _, tt := range []struct {
		pod          *v1.Pod
		plain, slice string
	}{
		{pod(v1.Container{}), "/kubepods/besteffort/pod12-34", "kubepods-besteffort-pod12_34.slice"},
		{pod(with(list("1", ""), nil)), "/kubepods/burstable/pod12-34", "kubepods-burstable-pod12_34.slice"},
		{pod(with(list("1", "1Gi"), list("1", "1Gi"))), "/kubepods/pod12-34", "kubepods-pod12_34.slice"},
	} {
		if got := (Cgroups{Root: "/", Enabled: true}).Parent(tt.pod); got != tt.plain {
			t.Errorf("cgroupfs: %s, want %s", got, tt.plain)
		}
		if got := (Cgroups{Root: "/", Enabled: true, Systemd: true}).Parent(tt.pod); got != tt.slice {
			t.Errorf("systemd: %s, want %s", got, tt.slice)
		}
	}
	if got := (Cgroups{Root: "/nodes/a", Enabled: true}).Parent(pod(v1.Container{})); got != "/nodes/a/kubepods/besteffort/pod12-34" {
		t.Errorf("below a root of its own: %s", got)
	}
	if got := (Cgroups{}).Parent(pod(v1.Container{})); got != "" {
		t.Errorf("without QoS cgroups the runtime decides, got %s", got)
	}
}

func TestPodsAreFoundByTheirCgroups(t *testing.T) {
	pod := func(name string, class v1.ResourceList) *v1.Pod {
		p := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{with(class, class)}}}
		p.UID = types.UID("12-34-" + name)
		return p
	}
	pods := []*v1.Pod{pod("a", nil), pod("b", list("1", "")), pod("c", list("1", "1Gi"))}
	for _, c := range []Cgroups{{Root: "/nodes/a"}, {Root: "/", Systemd: true}} {
		base := t.TempDir()
		for _, p := range pods {
			path := base
			if c.Systemd { // systemd makes a folder of every slice above
				for parts, i := c.parts(p), 1; i <= len(parts); i++ {
					path = filepath.Join(path, c.name(parts[:i]))
				}
			} else {
				path = filepath.Join(path, c.name(c.parts(p)))
			}
			if err := os.MkdirAll(filepath.Join(path, "container"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		found := c.podsBelow(base)
		slices.Sort(found)
		if !slices.Equal(found, []types.UID{"12-34-a", "12-34-b", "12-34-c"}) {
			t.Errorf("systemd %v: found %v", c.Systemd, found)
		}
	}
}

func TestPodIsLimitedOnlyWhenAllContainersAre(t *testing.T) {
	p := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{with(nil, list("1", "1Gi")), with(nil, list("1", ""))}}}
	if !limited(p, v1.ResourceCPU) || limited(p, v1.ResourceMemory) {
		t.Error("CPU is limited in all containers, memory is not")
	}
}
