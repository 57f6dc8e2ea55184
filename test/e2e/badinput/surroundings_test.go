package badinput

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestEtcdIsUnreachable(t *testing.T) {
	t.Parallel()
	says(t, []string{"Waiting for etcd", "https://127.0.0.1:1", "connection refused"}, "", "kube-apiserver", apiserver()...)
}

func TestAPIServerIsUnreachable(t *testing.T) {
	anonymous := kubeconfig(t, "", "", "")
	for program, args := range map[string][]string{"kube-controller-manager": nil, "kube-scheduler": nil, "kube-proxy": nil} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			says(t, []string{"127.0.0.1:6443", "connection refused"}, "", program, append(args, "--kubeconfig="+anonymous)...)
		})
	}
	code, said := outcome(t, "kubectl", "get", "pods", "--kubeconfig="+anonymous)
	if code != 1 || !strings.Contains(said, "The connection to the server 127.0.0.1:6443 was refused") {
		t.Errorf("kubectl: exit code %d:\n%s", code, said)
	}
}

// listen is a shell script that occupies a port.
func listen(port int) string {
	return fmt.Sprintf("busybox nc -l -p %d >/dev/null 2>&1 & until grep -q ':%04X .* 0A' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done", port, port)
}

func TestPortsAreOccupied(t *testing.T) {
	anonymous := kubeconfig(t, "", "", "")
	for _, tt := range []struct {
		program string
		port    int
		want    string
		args    []string
	}{
		{"kube-apiserver", 6443, "--secure-port=6443", apiserver()},
		{"kube-controller-manager", 10257, "--secure-port=10257", []string{"--kubeconfig=" + anonymous}},
		{"kube-scheduler", 10259, "--secure-port=10259", []string{"--kubeconfig=" + anonymous}},
		{"kube-proxy", 10256, "--healthz-bind-address=0.0.0.0:10256", []string{"--kubeconfig=" + anonymous, "--bind-address-hard-fail"}},
	} {
		t.Run(tt.program, func(t *testing.T) {
			t.Parallel()
			says(t, []string{tt.program + ": ", tt.want, "address already in use"}, listen(tt.port), tt.program, tt.args...)
		})
	}
}

// TestKernelLacksNFTables: without the program nft, kube-proxy and podnet say so before they ask the API server anything.
func TestKernelLacksNFTables(t *testing.T) {
	anonymous := kubeconfig(t, "", "", "")
	for program, args := range map[string][]string{"kube-proxy": nil, "podnet": clients["podnet"]} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			says(t, []string{program + ": ", "nftables in the kernel", "nft"}, "PATH=/none; export PATH", program, append(args, "--kubeconfig="+anonymous)...)
		})
	}
}

func TestContainerRuntimeIsMissing(t *testing.T) {
	t.Parallel()
	config := file(t, "config.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\n")
	says(t, []string{"kubelet: ", "containerRuntimeEndpoint unix:///none.sock", "is the container runtime running?"}, "",
		"kubelet", "--config="+config, "--kubeconfig="+kubeconfig(t, "", "", ""), "--container-runtime-endpoint=unix:///none.sock", "--root-dir="+t.TempDir())
}

// TestPreflightChangesNothing runs init and join over copies of /etc, /var and /opt that show what was written.
func TestPreflightChangesNothing(t *testing.T) {
	script := `busybox mount -t tmpfs none /run
ip link set lo up; ip address add 192.0.2.1/24 dev lo
busybox mount -t tmpfs none /mnt
for d in etc var opt; do
  mkdir -p /mnt/$d /mnt/work-$d
  busybox mount -t overlay overlay -o lowerdir=/$d,upperdir=/mnt/$d,workdir=/mnt/work-$d /$d || exit 99
done
` + listen(6443) + `
` + listen(10250) + `
"$@"; code=$?
find /mnt/etc /mnt/var /mnt/opt -mindepth 1 | sed 's,^/mnt,changed: ,'
exit $code`
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"init", []string{"init", "--apiserver-advertise-address=192.0.2.1", "--cri-socket=unix:///none.sock"}, []string{"[ERROR Port-6443]", "[ERROR Port-10250]", "[ERROR CRI]", "/none.sock"}},
		{"join", []string{"join", "192.0.2.1:6443", "--token=abcdef.0123456789abcdef", "--discovery-token-unsafe-skip-ca-verification", "--cri-socket=unix:///none.sock"},
			[]string{"[ERROR Port-10250]", "[ERROR CRI]", "/none.sock"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh", filepath.Join(root(), "bin/kubeadm")}, tt.args...)...)
			cmd.SysProcAttr = namespaces()
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			_ = cmd.Run() // the exit code is looked at
			if code := cmd.ProcessState.ExitCode(); code != 2 {
				t.Errorf("exit code %d, want 2\n%s%s", code, out.String(), errOut.String())
			}
			if strings.Contains(out.String(), "changed: ") {
				t.Errorf("something was changed:\n%s", out.String())
			}
			for _, want := range append(tt.want, "Nothing was changed", "--ignore-preflight-errors") {
				if !strings.Contains(errOut.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, errOut.String())
				}
			}
		})
	}
}
