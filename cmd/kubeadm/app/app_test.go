package app

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilotis.dev/cmd/kubeadm/host"
	"pilotis.dev/pkg/certs"
)

// run carries out a command line and returns its exit code and output.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{In: strings.NewReader(""), Out: &out, Err: &errs, Host: host.New(), Now: time.Now}
	code = Run(t.Context(), env, args)
	return code, out.String(), errs.String()
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInitDryRunShowsEverythingAndChangesNothing(t *testing.T) {
	code, out, errs := run(t, "init", "--dry-run", "--ignore-preflight-errors=all", "--apiserver-advertise-address=10.1.0.2", "--node-name=n1",
		"--pod-network-cidr=10.244.0.0/16", "--token=abcdef.0123456789abcdef", "--control-plane-endpoint=lb.example.org", "--upload-certs")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{
		`[certs] Generating "ca" certificate and key`, `[kubeconfig] Writing "admin.conf" kubeconfig file`, `[control-plane] Creating static Pod manifest for "kube-apiserver"`,
		"--cluster-cidr=10.244.0.0/16", "Your Kubernetes control-plane has initialized successfully!",
		"kubeadm join lb.example.org:6443 --token abcdef.0123456789abcdef \\\n\t--discovery-token-ca-cert-hash sha256:", "--control-plane --certificate-key ",
		`[dryrun] Would write file "/etc/kubernetes/pki/ca.key"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	if strings.Contains(out, "PRIVATE KEY") || strings.Contains(out, "client-key-data") {
		t.Error("a private key was printed")
	}
	if _, err := os.Stat("/etc/kubernetes/pki/ca.crt"); err == nil {
		t.Error("a dry run wrote to /etc/kubernetes")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "kubeadm-init-dryrun*")); len(left) > 0 {
		t.Errorf("scratch folders left: %v", left)
	}
}

func TestEmptyTaintsMeanNone(t *testing.T) {
	path := file(t, `
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 10.1.0.2}
nodeRegistration: {name: n1, taints: []}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
`)
	code, out, errs := run(t, "init", "--config", path, "--dry-run", "--ignore-preflight-errors=all")
	if code != 0 {
		t.Fatal(errs)
	}
	if strings.Contains(out, "by adding the taints") || !strings.Contains(out, "failCgroupV1: false") {
		t.Error("taints: [] or the kubelet configuration was not heeded")
	}
}

func TestSkippedPhasesDoNotRun(t *testing.T) {
	_, out, _ := run(t, "init", "--dry-run", "--ignore-preflight-errors=all", "--apiserver-advertise-address=10.1.0.2", "--node-name=n1", "--skip-phases=addon/podnet,kubelet-start,show-join-command,bootstrap-token")
	if strings.Contains(out, "podnet") || strings.Contains(out, "[kubelet-start]") || strings.Contains(out, "[bootstrap-token]") || !strings.Contains(out, "addon: CoreDNS") {
		t.Error(out)
	}
}

func TestFaultsGiveTheirExitCodeAndName(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"an unknown command":        {[]string{"inti"}, 1, `unknown command "inti"`},
		"an unknown flag":           {[]string{"init", "--pod-network"}, 1, "unknown flag: --pod-network"},
		"an invalid flag":           {[]string{"init", "--pod-network-cidr=10.244.0.0"}, 3, "networking.podSubnet"},
		"an unknown phase":          {[]string{"init", "--skip-phases=adon", "--dry-run", "--apiserver-advertise-address=10.1.0.2"}, 1, `unknown phase "adon"`},
		"a file and its flags":      {[]string{"init", "--config", file(t, "x"), "--service-cidr=10.0.0.0/16"}, 3, "can not mix '--config' with arguments [--service-cidr]"},
		"an unknown field":          {[]string{"init", "--config", file(t, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistraton: {}\n")}, 3, `unknown field "nodeRegistraton"`},
		"a missing file":            {[]string{"init", "--config", "/does/not/exist"}, 3, "/does/not/exist"},
		"a file of another command": {[]string{"init", "--config", file(t, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\n")}, 3, "no InitConfiguration"},
		"join without anything":     {[]string{"join"}, 3, "discovery: Required value"},
		"join without a pin":        {[]string{"join", "10.0.0.1:6443", "--token=abcdef.0123456789abcdef"}, 3, "--discovery-token-ca-cert-hash"},
		"a key without its use":     {[]string{"join", "10.0.0.1:6443", "--token=abcdef.0123456789abcdef", "--discovery-token-unsafe-skip-ca-verification", "--certificate-key=00"}, 3, "--control-plane"},
		"reset without consent":     {[]string{"reset"}, 1, "aborted"},
		"a bad token":               {[]string{"token", "create", "short"}, 3, "bootstrapTokens[0].token"},
		"nothing to delete":         {[]string{"token", "delete"}, 3, "missing argument"},
		"no kubeconfig":             {[]string{"token", "list", "--kubeconfig=/does/not/exist"}, 1, "/does/not/exist"},
		"validate":                  {[]string{"config", "validate", "--config", file(t, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {dnsDomain: \"-\"}\n")}, 3, "networking.dnsDomain"},
		"a bad output format":       {[]string{"version", "-o", "xml"}, 3, "xml"},
		"a bad format of images":    {[]string{"config", "images", "list", "-o", "xml"}, 3, "xml"},
		"a bad format of a plan":    {[]string{"upgrade", "plan", "-o", "xml"}, 3, "xml"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := run(t, tc.args...)
			if code != tc.code || !strings.Contains(errs, tc.want) {
				t.Errorf("exit code %d, want %d; error %q, want %q", code, tc.code, errs, tc.want)
			}
		})
	}
}

func TestPreflightFaultsEndInitBeforeItWrites(t *testing.T) {
	code, _, errs := run(t, "init", "--apiserver-advertise-address=10.1.0.2", "--node-name=n1", "--cri-socket=unix:///does/not/exist.sock")
	if code != 2 || !strings.Contains(errs, "[ERROR CRI]: container runtime is not running: /does/not/exist.sock") || !strings.Contains(errs, "Nothing was changed") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if _, err := os.Stat("/etc/kubernetes/pki"); err == nil {
		t.Error("something was written")
	}
}

func TestSmallCommands(t *testing.T) {
	for line, want := range map[string]string{
		"version -o short":              "v1.",
		"version -o json":               `"gitVersion"`,
		"version -o yaml":               "clientVersion:",
		"config images list":            "pilotis.dev/coredns:v1.15.0",
		"config print init-defaults":    "kind: ClusterConfiguration",
		"config print join-defaults":    "token: abcdef.0123456789abcdef",
		"config print reset-defaults":   "kind: ResetConfiguration",
		"config print upgrade-defaults": "etcdUpgrade: true",
		"config print init-defaults --component-configs KubeletConfiguration,KubeProxyConfiguration": "mode: nftables",
		"completion bash":   "kubeadm",
		"init --help":       "wait-control-plane",
		"join phase --help": "control-plane-prepare",
		"token --help":      "generate",
		"":                  "kubeadm init",
	} {
		if code, out, errs := run(t, strings.Fields(line)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("kubeadm %s: exit code %d, error %q, output lacks %q:\n%s", line, code, errs, want, out)
		}
	}
	if _, out, _ := run(t, "token", "generate"); len(strings.TrimSpace(out)) != 23 {
		t.Errorf("token %q", out)
	}
	if _, out, _ := run(t, "certs", "certificate-key"); len(strings.TrimSpace(out)) != 64 {
		t.Errorf("key %q", out)
	}
}

// What `config print` shows must be accepted by `config validate`.
func TestPrintedDefaultsAreValid(t *testing.T) {
	for _, kind := range []string{"init", "join", "reset", "upgrade"} {
		_, out, _ := run(t, "config", "print", kind+"-defaults")
		if code, ok, errs := run(t, "config", "validate", "--config", file(t, out)); code != 0 || ok != "ok\n" {
			t.Errorf("%s: exit code %d: %s", kind, code, errs)
		}
	}
}

func TestMigrateWritesAFileThatIsValid(t *testing.T) {
	old := file(t, "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\napiServer: {extraArgs: {v: \"4\"}}\n")
	target := filepath.Join(t.TempDir(), "new.yaml")
	if code, _, errs := run(t, "config", "migrate", "--old-config", old, "--new-config", target); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := run(t, "config", "validate", "--config", target); code != 0 {
		t.Error(errs)
	}
}

func TestCertificatePhasesAndCommandsOnAFolder(t *testing.T) {
	dir := t.TempDir()
	path := file(t, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 10.1.0.2}\nnodeRegistration: {name: n1}\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificatesDir: "+dir+"\nencryptionAlgorithm: ECDSA-P256\n")
	if code, _, errs := run(t, "init", "phase", "certs", "all", "--config", path); code != 0 {
		t.Fatal(errs)
	}
	before, err := certs.ReadCert(certs.CertPath(dir, "apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, "certs", "check-expiration", "--config", path); code != 0 || !strings.Contains(out, "etcd-healthcheck-client") || !strings.Contains(out, "!MISSING! ") || !strings.Contains(out, "364d") {
		t.Errorf("exit code %d: %s\n%s", code, errs, out)
	}
	if code, out, errs := run(t, "certs", "renew", "apiserver", "--config", path); code != 0 || !strings.Contains(out, "certificate apiserver renewed") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	after, err := certs.ReadCert(certs.CertPath(dir, "apiserver"))
	if err != nil || after.Equal(before) {
		t.Errorf("the certificate is the same: %v", err)
	}
	if code, out, errs := run(t, "kubeconfig", "user", "--client-name=jane", "--org=devs", "--config", path); code != 0 || !strings.Contains(out, "jane@kubernetes") {
		t.Errorf("exit code %d: %s\n%s", code, errs, out)
	}
}

func TestJoinCommandIsOneLineForScripts(t *testing.T) {
	join := JoinCommand{Endpoint: "10.0.0.1:6443", Token: "t", Pins: []string{"sha256:a", "sha256:b"}, ControlPlane: true, CertificateKey: "k"}
	want := "kubeadm join 10.0.0.1:6443 --token t \\\n\t--discovery-token-ca-cert-hash sha256:a \\\n\t--discovery-token-ca-cert-hash sha256:b \\\n\t--control-plane --certificate-key k"
	if got := join.String(); got != want {
		t.Errorf("got %q", got)
	}
	if got := join.Line(); strings.ContainsAny(got, "\\\n\t") || !strings.Contains(got, "sha256:a --discovery") {
		t.Errorf("got %q", got)
	}
}

func TestVersionPolicy(t *testing.T) {
	for name, tc := range map[string]struct {
		current, target, own string
		experimental         bool
		want                 string
	}{
		"a patch":             {"v1.37.1", "v1.37.2", "v1.37.2", false, ""},
		"a minor":             {"v1.36.9", "v1.37.2", "v1.37.2", false, ""},
		"two minors":          {"v1.35.9", "v1.37.2", "v1.37.2", false, "1 minor version at a time"},
		"down a minor":        {"v1.37.0", "v1.36.2", "v1.37.2", false, "downgrade"},
		"newer than the tool": {"v1.37.0", "v1.38.0", "v1.37.2", false, "upgrade kubeadm first"},
		"a candidate":         {"v1.36.0", "v1.37.0-rc.1", "v1.37.2", false, "unstable"},
		"a wanted candidate":  {"v1.36.0", "v1.37.0-rc.1", "v1.37.2", true, ""},
		"nonsense":            {"v1.36.0", "x", "v1.37.2", false, "cannot be parsed"},
	} {
		fatal, _ := versionPolicy(tc.current, tc.target, tc.own, tc.experimental, false)
		if tc.want == "" && len(fatal) > 0 || tc.want != "" && (len(fatal) == 0 || !strings.Contains(fatal[0].Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, fatal, tc.want)
		}
	}
}

// TestFlags holds upstream's flags of each command (https://kubernetes.io/docs/reference/setup-tools/kubeadm/), but for -h, -v and
// --rootfs, which all have.
func TestFlags(t *testing.T) {
	const initFlags = "apiserver-advertise-address apiserver-bind-port apiserver-cert-extra-sans cert-dir certificate-key config control-plane-endpoint cri-socket dry-run feature-gates ignore-preflight-errors image-repository kubernetes-version node-name patches pod-network-cidr service-cidr service-dns-domain skip-certificate-key-print skip-phases skip-token-print token token-ttl upload-certs"
	root := New(Env{Out: io.Discard, Err: io.Discard})
	for command, want := range map[string]string{
		"init":                       initFlags,
		"init phase kubeconfig all":  "apiserver-advertise-address apiserver-bind-port cert-dir config control-plane-endpoint dry-run kubeconfig-dir kubernetes-version node-name",
		"join":                       "apiserver-advertise-address apiserver-bind-port certificate-key config control-plane cri-socket discovery-file discovery-token discovery-token-ca-cert-hash discovery-token-unsafe-skip-ca-verification dry-run ignore-preflight-errors node-name patches skip-phases tls-bootstrap-token token",
		"reset":                      "cert-dir cleanup-tmp-dir config cri-socket dry-run force ignore-preflight-errors kubeconfig skip-phases",
		"upgrade plan":               "allow-experimental-upgrades allow-release-candidate-upgrades config etcd-upgrade ignore-preflight-errors kubeconfig output print-config",
		"upgrade apply":              "allow-experimental-upgrades allow-release-candidate-upgrades certificate-renewal config dry-run etcd-upgrade force ignore-preflight-errors kubeconfig patches print-config skip-phases yes",
		"upgrade node":               "certificate-renewal config dry-run etcd-upgrade ignore-preflight-errors kubeconfig patches skip-phases",
		"upgrade diff":               "config context-lines kubeconfig",
		"certs check-expiration":     "cert-dir config kubeconfig output",
		"certs renew all":            "cert-dir config kubeconfig",
		"certs generate-csr":         "cert-dir config kubeconfig-dir",
		"config images list":         "config feature-gates image-repository kubernetes-version output",
		"config images pull":         "config cri-socket feature-gates image-repository kubernetes-version",
		"config print init-defaults": "component-configs",
		"config validate":            "allow-experimental-api config",
		"config migrate":             "allow-experimental-api new-config old-config",
		"token create":               "certificate-key config description dry-run groups kubeconfig print-join-command ttl usages",
		"token list":                 "dry-run kubeconfig output",
		"kubeconfig user":            "client-name config org token validity-period",
	} {
		cmd, rest, err := root.Find(strings.Fields(command))
		if err != nil || len(rest) > 0 {
			t.Errorf("%s: no such command: %v", command, err)
			continue
		}
		for _, name := range strings.Fields(want) {
			if cmd.Flag(name) == nil {
				t.Errorf("%s lacks --%s", command, name)
			}
		}
	}
}

// TestResetCleansTheClustersCertificates: the cluster's configuration names their folder, unless the command line does or the
// cluster does not answer.
func TestResetCleansTheClustersCertificates(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/api/v1/namespaces/kube-system/configmaps/kubeadm-config" {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"ConfigMap","data":{"ClusterConfiguration":"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.37.2\ncertificatesDir: /srv/pki\n"}}`)
	}))
	defer api.Close()
	kubeconfig := file(t, "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: '"+api.URL+"'}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--kubeconfig", kubeconfig}, "/srv/pki"},
		{[]string{"--kubeconfig", kubeconfig, "--cert-dir=/other/pki"}, "/other/pki"},
		{[]string{"--kubeconfig=/does/not/exist"}, "/etc/kubernetes/pki"},
	} {
		code, out, errs := run(t, append([]string{"reset", "--dry-run", "--force", "--ignore-preflight-errors=all"}, tt.args...)...)
		if code != 0 || !strings.Contains(out, "Would delete contents of directory: "+tt.want+"\n") {
			t.Errorf("%v: exit code %d, want %s cleaned\n%s%s", tt.args, code, tt.want, out, errs)
		}
	}
}
