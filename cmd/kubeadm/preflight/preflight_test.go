package preflight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// machine is a made-up machine.
type machine struct {
	root    bool
	cpus    int
	memory  uint64
	files   map[string]string
	full    []string
	tools   []string
	env     map[string]string
	systemd bool
	units   map[string][3]bool
	ports   map[int]string
	kubelet string
	system  []error
}

func (m *machine) Root() bool                   { return m.root }
func (m *machine) CPUs() int                    { return m.cpus }
func (m *machine) MemoryBytes() (uint64, error) { return m.memory, nil }
func (m *machine) Hostname() (string, error)    { return "node-1", nil }
func (m *machine) ReadFile(path string) ([]byte, error) {
	if text, ok := m.files[path]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}
func (m *machine) Exists(path string) bool      { _, ok := m.files[path]; return ok }
func (m *machine) FolderEmpty(path string) bool { return !slices.Contains(m.full, path) }
func (m *machine) LookPath(name string) bool    { return slices.Contains(m.tools, name) }
func (m *machine) Env(name string) string       { return m.env[name] }
func (m *machine) Systemd() bool                { return m.systemd }
func (m *machine) UnitState(_ context.Context, unit string) (bool, bool, bool) {
	u := m.units[unit]
	return u[0], u[1], u[2]
}
func (m *machine) PortHolder(port int) (string, bool) { h, ok := m.ports[port]; return h, ok }
func (m *machine) KubeletVersion(context.Context) (string, error) {
	if m.kubelet == "" {
		return "", errors.New("kubelet: not found")
	}
	return m.kubelet, nil
}
func (m *machine) ValidateSystem(version string) ([]error, []error) {
	if version == "" {
		return m.system, nil
	}
	return nil, m.system
}

type runtime struct {
	down   error
	images []string
	pulled []string
}

func (r *runtime) Check(context.Context) error { return r.down }
func (r *runtime) HasImage(_ context.Context, image string) (bool, error) {
	return slices.Contains(r.images, image), nil
}
func (r *runtime) PullImage(_ context.Context, image string) error {
	if strings.HasPrefix(image, "gone") {
		return errors.New("no such host")
	}
	r.pulled = append(r.pulled, image)
	return nil
}

func TestChecks(t *testing.T) {
	lookup := func(host string) ([]string, error) {
		if host == "known" {
			return []string{"10.0.0.1"}, nil
		}
		return nil, errors.New("no such host")
	}
	for name, tc := range map[string]struct {
		check   Check
		warning string
		fault   string
	}{
		"not root":               {Root(&machine{}), "", "root"},
		"root":                   {Root(&machine{root: true}), "", ""},
		"one CPU":                {CPUs(&machine{cpus: 1}), "", "required 2"},
		"little memory":          {Memory(&machine{memory: 1 << 30}), "", "1024 MB"},
		"enough memory":          {Memory(&machine{memory: 4 << 30}), "", ""},
		"port taken":             {Port(&machine{ports: map[int]string{6443: "process 7 (nginx)"}}, 6443), "", "process 7 (nginx)"},
		"port free":              {Port(&machine{}, 6443), "", ""},
		"old manifest":           {FileAbsent(&machine{files: map[string]string{"/etc/kubernetes/manifests/etcd.yaml": ""}}, "/etc/kubernetes/manifests/etcd.yaml"), "", "kubeadm reset"},
		"missing file":           {FilePresent(&machine{}, "/etc/ca.crt"), "", "/etc/ca.crt"},
		"etcd data":              {FolderEmpty(&machine{full: []string{"/var/lib/etcd"}}, "/var/lib/etcd"), "", "/var/lib/etcd is not empty"},
		"mandatory tool":         {Executable(&machine{}, "mount", true), "", "mount not found"},
		"optional tool":          {Executable(&machine{}, "tc", false), "tc not found", ""},
		"forwarding off":         {Sysctl(&machine{files: map[string]string{"/proc/sys/net/ipv4/ip_forward": "0\n"}}, "/proc/sys/net/ipv4/ip_forward", "1"), "", "net.ipv4.ip_forward=1"},
		"forwarding on":          {Sysctl(&machine{files: map[string]string{"/proc/sys/net/ipv4/ip_forward": "1\n"}}, "/proc/sys/net/ipv4/ip_forward", "1"), "", ""},
		"swap":                   {Swap(&machine{files: map[string]string{"/proc/swaps": "Filename Type\n/swap file\n"}}), "swap", ""},
		"no swap":                {Swap(&machine{files: map[string]string{"/proc/swaps": "Filename Type\n"}}), "", ""},
		"bad node name":          {Hostname("Node_1", lookup), "", "--node-name"},
		"unresolved name":        {Hostname("strange", lookup), "strange", ""},
		"resolved name":          {Hostname("known", lookup), "", ""},
		"unit disabled":          {KubeletUnit(&machine{systemd: true, units: map[string][3]bool{"kubelet": {true, false, false}}}), "systemctl enable", ""},
		"no systemd":             {KubeletUnit(&machine{}), "", ""},
		"firewalld":              {Firewalld(&machine{units: map[string][3]bool{"firewalld": {true, true, true}}}, 6443), "6443", ""},
		"cgroup v1 refused":      {System(&machine{system: []error{errors.New("cgroups v1")}}, "v1.37.2", false), "", "cgroups v1"},
		"cgroup v1 accepted":     {System(&machine{system: []error{errors.New("cgroups v1")}}, "v1.37.2", true), "cgroups v1", ""},
		"no kubelet":             {KubeletVersion(&machine{}, "v1.37.2"), "", "kubelet"},
		"newer kubelet":          {KubeletVersion(&machine{kubelet: "v1.38.0"}, "v1.37.2"), "", "higher"},
		"three minors older":     {KubeletVersion(&machine{kubelet: "v1.34.0"}, "v1.37.2"), "", ""},
		"four minors older":      {KubeletVersion(&machine{kubelet: "v1.33.0"}, "v1.37.2"), "", "older"},
		"through a proxy":        {Proxy(&machine{env: map[string]string{"HTTPS_PROXY": "http://p:3128"}}, "https", "10.0.0.1"), "p:3128", ""},
		"proxy excludes a range": {Proxy(&machine{env: map[string]string{"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "10.0.0.0/8"}}, "https", "10.0.0.1"), "", ""},
		"proxy excludes a name":  {Proxy(&machine{env: map[string]string{"https_proxy": "http://p", "no_proxy": ".example.org"}}, "https", "a.example.org"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, faults := tc.check.Run(t.Context())
			expect(t, "warnings", warnings, tc.warning)
			expect(t, "faults", faults, tc.fault)
		})
	}
}

func expect(t *testing.T, what string, got []error, want string) {
	t.Helper()
	text := fmt.Sprint(got)
	if want == "" && len(got) > 0 || want != "" && !strings.Contains(text, want) {
		t.Errorf("%s %s, want %q", what, text, want)
	}
}

func TestImagesFollowThePullPolicy(t *testing.T) {
	for name, tc := range map[string]struct {
		policy PullPolicy
		images []string
		pulled []string
		fault  string
	}{
		"present":          {PullPolicy{}, []string{"here"}, nil, ""},
		"absent is pulled": {PullPolicy{}, []string{"here", "there"}, []string{"there"}, ""},
		"always":           {PullPolicy{Always: true}, []string{"here"}, []string{"here"}, ""},
		"never":            {PullPolicy{Never: true}, []string{"there"}, nil, "Never"},
		"cannot be pulled": {PullPolicy{}, []string{"gone", "there"}, []string{"there"}, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &runtime{images: []string{"here"}}
			_, faults := Images(func(context.Context) (Runtime, error) { return r, nil }, tc.images, tc.policy).Run(t.Context())
			expect(t, "faults", faults, tc.fault)
			if !slices.Equal(r.pulled, tc.pulled) {
				t.Errorf("pulled %v, want %v", r.pulled, tc.pulled)
			}
		})
	}
}

func TestAllFindingsAtOnceAndIgnoredOnesAsWarnings(t *testing.T) {
	m := &machine{ports: map[int]string{6443: "process 1 (a)", 10250: "process 2 (b)"}, cpus: 1}
	checks := []Check{Port(m, 6443), Port(m, 10250), Port(m, 10250), CPUs(m)}
	var out bytes.Buffer
	err := Run(t.Context(), checks, []string{"numcpu"}, &out)
	if err == nil {
		t.Fatal("two occupied ports must end preflight")
	}
	for _, want := range []string{"[ERROR Port-6443]: Port 6443 is in use by process 1 (a)", "[ERROR Port-10250]", "Nothing was changed"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Count(err.Error(), "Port-10250") != 1 || strings.Contains(err.Error(), "NumCPU") {
		t.Errorf("a check must be reported once, an ignored one not at all:\n%v", err)
	}
	if !strings.Contains(out.String(), "[WARNING NumCPU]") {
		t.Errorf("the ignored finding must be a warning: %q", out.String())
	}
	if err := Run(t.Context(), checks, []string{"all"}, &out); err != nil {
		t.Errorf("all must ignore everything: %v", err)
	}
}
