package badinput

import (
	"strings"
	"testing"
)

// kinds are the configuration files that daemons read.
var kinds = []struct {
	program, flag, version, kind string
	args                         []string
}{
	{"kube-scheduler", "config", "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration", nil},
	{"kubelet", "config", "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", nil},
	{"kube-proxy", "config", "kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", nil},
	{"kube-apiserver", "authentication-config", "apiserver.config.k8s.io/v1", "AuthenticationConfiguration", nil},
	{"kube-apiserver", "authorization-config", "apiserver.config.k8s.io/v1", "AuthorizationConfiguration", nil},
	{"kube-apiserver", "admission-control-config-file", "apiserver.config.k8s.io/v1", "AdmissionConfiguration", nil},
	{"kube-apiserver", "encryption-provider-config", "apiserver.config.k8s.io/v1", "EncryptionConfiguration", nil},
	{"kube-apiserver", "audit-policy-file", "audit.k8s.io/v1", "Policy", []string{"--audit-log-path=/dev/null"}},
}

func TestWrongConfigurationFiles(t *testing.T) {
	for _, k := range kinds {
		group, _, _ := strings.Cut(k.version, "/")
		for _, tt := range []struct{ name, content, want string }{
			{"unknown field", "apiVersion: " + k.version + "\nkind: " + k.kind + "\nnoSuchField: 1\n", `unknown field "noSuchField"`},
			{"wrong kind", "apiVersion: " + k.version + "\nkind: Wrong\n", `"Wrong"`},
			{"wrong version", "apiVersion: " + group + "/v9\nkind: " + k.kind + "\n", group + "/v9"},
			{"no YAML", "kind: [\n", "yaml: line"},
		} {
			t.Run(k.program+"/"+k.flag+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				path := file(t, "wrong.yaml", tt.content)
				args := append([]string{"--" + k.flag + "=" + path}, k.args...)
				if k.program == "kube-apiserver" {
					args = apiserver(args...)
				}
				refuses(t, []string{tt.want, path}, k.program, args...)
			})
		}
		t.Run(k.program+"/"+k.flag+"/no file", func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--" + k.flag + "=/none.yaml"}, k.args...)
			if k.program == "kube-apiserver" {
				args = apiserver(args...)
			}
			refuses(t, []string{"/none.yaml", "no such file"}, k.program, args...)
		})
	}
}

// TestWrongFieldsAreAllTold: every fault of a file at once, each with its field, value and rule.
func TestWrongFieldsAreAllTold(t *testing.T) {
	for _, tt := range []struct {
		program, content string
		want             []string
	}{
		{"kubelet", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: -3\nport: 70000\n",
			[]string{"maxPods: Invalid value: -3: must be greater than or equal to 0", "port: Invalid value: 70000: must be a port"}},
		{"kube-proxy", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: iptables\nbindAddress: x\n",
			[]string{`mode: Unsupported value: "iptables"`, `bindAddress: Invalid value: "x": must be an IP address`}},
		{"kube-scheduler", "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nparallelism: -3\n",
			[]string{"parallelism: Invalid value: -3: should be an integer value greater than zero"}},
	} {
		t.Run(tt.program, func(t *testing.T) {
			t.Parallel()
			refuses(t, tt.want, tt.program, "--config="+file(t, "wrong.yaml", tt.content))
		})
	}
}

// TestWrongKubeadmFiles: kubeadm ends with 3, upstream's exit code of invalid configuration.
func TestWrongKubeadmFiles(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          []string
	}{
		{"unknown field", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworkin: {}\n", []string{`unknown field "networkin"`}},
		{"wrong kind", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfig\n", []string{`kind "ClusterConfig"`}},
		{"wrong version", "apiVersion: kubeadm.k8s.io/v9\nkind: ClusterConfiguration\n", []string{`apiVersion "kubeadm.k8s.io/v9" is not served`, "kubeadm config migrate"}},
		{"no YAML", "kind: [\n", []string{"yaml: line 1"}},
		{"wrong values", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 127.0.0.1, bindPort: 99999}\n---\n" +
			"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: foo, serviceSubnet: bar, dnsDomain: B_}\n",
			[]string{`networking.podSubnet: Invalid value: "foo"`, `networking.serviceSubnet: Invalid value: "bar"`, `networking.dnsDomain: Invalid value: "B_"`, "localAPIEndpoint.bindPort: Invalid value: 99999"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := file(t, "wrong.yaml", tt.content)
			for _, verb := range [][]string{{"init"}, {"config", "validate"}} {
				code, said := outcome(t, "kubeadm", append(verb, "--config="+path)...)
				if code != 3 {
					t.Errorf("kubeadm %v: exit code %d, want 3", verb, code)
				}
				for _, w := range tt.want {
					if !strings.Contains(said, w) {
						t.Errorf("kubeadm %v: %q is missing in:\n%s", verb, w, said)
					}
				}
			}
		})
	}
}
