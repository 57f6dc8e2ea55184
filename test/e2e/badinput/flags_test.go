package badinput

import (
	"strings"
	"testing"
)

var daemons = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "cloud-controller-manager", "podnet"}

func TestUnknownFlags(t *testing.T) {
	for _, d := range daemons {
		t.Run(d, func(t *testing.T) {
			t.Parallel()
			refuses(t, []string{"unknown flag: --no-such-flag"}, d, "--no-such-flag=1")
		})
	}
	for program, args := range map[string][]string{"kubeadm": {"init", "--no-such-flag"}, "kubectl": {"get", "pods", "--no-such-flag"}} {
		code, said := outcome(t, program, args...)
		if code != 1 || !strings.HasPrefix(said, "error: unknown flag: --no-such-flag\n") || strings.Count(said, "\n") != 1 || !strings.Contains(said, "--help") {
			t.Errorf("%s: exit code %d, want 1, the reason in a line and where help is:\n%s", program, code, said)
		}
	}
}

func TestUnknownArguments(t *testing.T) {
	for _, d := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "podnet"} {
		refuses(t, []string{`unknown argument "extra"`}, d, "extra")
	}
}

func TestBadFlagValues(t *testing.T) {
	for _, tt := range []struct {
		program string
		want    []string
		args    []string
	}{
		{"kube-apiserver", []string{`invalid argument "abc" for "--secure-port"`}, []string{"--secure-port=abc"}},
		{"kube-apiserver", []string{"--secure-port 99999 must be between 1 and 65535"}, apiserver("--secure-port=99999")},
		{"kube-apiserver", []string{`--service-cluster-ip-range=foo: "foo" is no CIDR`}, apiserver("--service-cluster-ip-range=foo")},
		{"kube-apiserver", []string{"unrecognized feature gate: Foo"}, apiserver("--feature-gates=Foo=true")},
		{"kube-apiserver", []string{"cannot set feature gate SidecarContainers to false"}, apiserver("--feature-gates=SidecarContainers=false")},
		{"kube-apiserver", []string{"--feature-gates=CoordinatedLeaderElection=true: this server does not have the feature"}, apiserver("--feature-gates=CoordinatedLeaderElection=true")},
		{"kube-apiserver", []string{"--runtime-config: invalid value api/all=maybe"}, apiserver("--runtime-config=api/all=maybe")},
		{"kube-apiserver", []string{"--runtime-config: unknown api groups nonsense/v1"}, apiserver("--runtime-config=nonsense/v1=true")},
		{"kube-apiserver", []string{"--runtime-config: group version apps/v9"}, apiserver("--runtime-config=apps/v9=true")},
		{"kube-controller-manager", []string{"--concurrent-deployment-syncs=-1: must be at least 1"}, []string{"--concurrent-deployment-syncs=-1"}},
		{"kube-controller-manager", []string{`--controllers: "foo" is not in the list of known controllers`}, []string{"--controllers=foo"}},
		{"kube-controller-manager", []string{"--root-ca-file: open /none", "--service-account-private-key-file: open /none"}, []string{"--root-ca-file=/none", "--service-account-private-key-file=/none"}},
		{"kube-scheduler", []string{`invalid argument "abc" for "--secure-port"`}, []string{"--secure-port=abc"}},
		{"kubelet", []string{`invalid argument "abc" for "--port"`}, []string{"--port=abc"}},
		{"kube-proxy", []string{`mode: Unsupported value: "iptables": supported values: "nftables"`}, []string{"--proxy-mode=iptables"}},
		{"kube-proxy", []string{`bindAddress: Invalid value: "bar": must be an IP address`, `clusterCIDR: Invalid value: "foo"`}, []string{"--cluster-cidr=foo", "--bind-address=bar"}},
		{"cloud-controller-manager", []string{`--cloud-provider="foo" is not known: there is memory`}, []string{"--cloud-provider=foo"}},
		{"cloud-controller-manager", []string{"--cloud-provider cannot be empty"}, nil},
		{"podnet", []string{"--cluster-cidr=foo", "--node-name is missing"}, []string{"--cluster-cidr=foo"}},
		{"podnet", []string{"--node-name is missing", "NODE_NAME", "--cluster-cidr is missing"}, nil},
	} {
		t.Run(tt.program+strings.Join(tt.args, ""), func(t *testing.T) {
			t.Parallel()
			refuses(t, tt.want, tt.program, tt.args...)
		})
	}
	if code, said := outcome(t, "kubectl", "get", "pods", "--request-timeout=soon", "--server=https://127.0.0.1:1"); code != 1 || !strings.Contains(said, "Invalid timeout value") || strings.Contains(said, "\n") {
		t.Errorf("kubectl with a bad time: exit code %d:\n%s", code, said)
	}
	if code, said := outcome(t, "kubeadm", "init", "--apiserver-bind-port=99999", "--apiserver-advertise-address=127.0.0.1"); code == 0 || !strings.Contains(said, "99999") {
		t.Errorf("kubeadm with a bad port: exit code %d:\n%s", code, said)
	}
}
