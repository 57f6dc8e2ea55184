package resources

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestCheckSysctls(t *testing.T) {
	pod := func(hostNet bool, names ...string) *v1.Pod {
		p := &v1.Pod{Spec: v1.PodSpec{HostNetwork: hostNet, SecurityContext: &v1.PodSecurityContext{}}}
		for _, n := range names {
			p.Spec.SecurityContext.Sysctls = append(p.Spec.SecurityContext.Sysctls, v1.Sysctl{Name: n})
		}
		return p
	}
	allowed := append(SafeSysctls(), "kernel.msg*")
	for _, tt := range []struct {
		pod *v1.Pod
		ok  bool
	}{
		{&v1.Pod{}, true}, {pod(false, "net.ipv4.tcp_syncookies"), true}, {pod(false, "net/ipv4/tcp_syncookies"), true}, {pod(false, "kernel.msgmax"), true},
		{pod(false, "kernel.sem"), false}, {pod(true, "net.ipv4.tcp_syncookies"), false}, {pod(false, "vm.swappiness"), false},
	} {
		if err := CheckSysctls(tt.pod, allowed); (err == nil) != tt.ok {
			t.Errorf("%+v: error %v, want allowed %v", tt.pod.Spec, err, tt.ok)
		}
	}
}

func TestUserNamespacesAreNeverShared(t *testing.T) {
	dir := t.TempDir()
	u, err := NewUserNamespaces(dir, 65536, 2)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]types.UID{}
	for _, uid := range []types.UID{"a", "b", "c", "d"} {
		m, err := u.Assign(uid)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := u.Assign(uid); again != m {
			t.Errorf("pod %s gets %v, then %v", uid, m, again)
		}
		if m.HostID < 65536 || m.Length != 65536 || seen[m.HostID] != "" {
			t.Errorf("pod %s gets %v, which is the host's or pod %q's", uid, m, seen[m.HostID])
		}
		seen[m.HostID] = uid
	}
	if _, err := u.Assign("e"); err == nil {
		t.Error("a fifth pod gets a range that there is not")
	}
	// The kubelet starts anew: pod b is gone with its folder.
	if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	u, err = NewUserNamespaces(dir, 65536, 2)
	if err != nil {
		t.Fatal(err)
	}
	m, err := u.Assign("e")
	if err != nil || seen[m.HostID] != "b" {
		t.Errorf("the new pod gets %v (error %v), want the range that b gave back", m, err)
	}
	if _, err := NewUserNamespaces(dir, 131072, 2); err == nil {
		t.Error("other ranges than running pods have must be refused")
	}
}

func TestAllocationsSurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	a, err := NewAllocations(file)
	if err != nil {
		t.Fatal(err)
	}
	before := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{Requests: list("1", "")}}}}}
	if err := a.Set("u", Wanted(before)); err != nil {
		t.Fatal(err)
	}
	if a, err = NewAllocations(file); err != nil {
		t.Fatal(err)
	}
	have, ok := a.Get("u")
	if !ok {
		t.Fatal("the allocation is lost")
	}
	if have.With(before) != before {
		t.Error("an unchanged pod is copied")
	}
	resized := before.DeepCopy()
	resized.Spec.Containers[0].Resources.Requests = list("2", "")
	if got := have.With(resized).Spec.Containers[0].Resources.Requests.Cpu().String(); got != "1" {
		t.Errorf("the pod runs with %s CPUs before its resize is accepted, want 1", got)
	}
	if err := a.Forget("u"); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Get("u"); ok {
		t.Error("a pod that is gone keeps an allocation")
	}
	if err := os.WriteFile(file, []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewAllocations(file); err == nil {
		t.Error("a broken file is taken")
	}
}
