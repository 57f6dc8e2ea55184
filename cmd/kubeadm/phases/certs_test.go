package phases

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pilotis.dev/pkg/certs"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryCertificateVerifiesAgainstItsAuthorityAlone(t *testing.T) {
	n := testNode(t)
	n.Cluster.ControlPlaneEndpoint = "lb.example.org:443"
	n.Cluster.APIServer.CertSANs = []string{"extra.example.org", "10.9.9.9", "node-1"}
	makeCerts(t, n)
	pools := map[string]*x509.CertPool{}
	for _, name := range []string{ClusterCA, FrontProxyCA, EtcdCA} {
		ca, err := certs.ReadCert(certs.CertPath(n.PKI(), name))
		if err != nil {
			t.Fatal(err)
		}
		pools[name] = x509.NewCertPool()
		pools[name].AddCert(ca)
	}
	for _, c := range Certificates(n.Cluster) {
		if c.CA == "" {
			continue
		}
		cert, err := certs.ReadCert(certs.CertPath(n.PKI(), c.Name))
		if err != nil {
			t.Fatal(err)
		}
		for name, pool := range pools {
			_, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: testNow, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			if (err == nil) != (name == c.CA) {
				t.Errorf("%s against %s: %v", c.Name, name, err)
			}
		}
	}
	server, _ := certs.ReadCert(certs.CertPath(n.PKI(), "apiserver"))
	for _, name := range []string{"node-1", "kubernetes", "kubernetes.default.svc.cluster.local", "10.96.0.1", "10.0.0.1", "lb.example.org", "extra.example.org", "10.9.9.9"} {
		if err := server.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	admin, _ := certs.ReadCert(certs.CertPath(n.PKI(), "apiserver-kubelet-client"))
	if !slices.Equal(admin.Subject.Organization, []string{AdminGroup}) {
		t.Errorf("apiserver-kubelet-client is of %v", admin.Subject.Organization)
	}
	member, _ := certs.ReadCert(certs.CertPath(n.PKI(), "etcd/peer"))
	if len(member.ExtKeyUsage) != 2 || member.VerifyHostname("localhost") != nil {
		t.Errorf("etcd/peer: %v %v", member.ExtKeyUsage, member.DNSNames)
	}
}

func TestRunningAgainKeepsEverything(t *testing.T) {
	n := testNode(t)
	makeCerts(t, n)
	before := snapshot(t, n.Root)
	makeCerts(t, n)
	if after := snapshot(t, n.Root); !slices.Equal(before, after) {
		t.Error("a second run changed files")
	}
}

// snapshot lists every file with its content.
func snapshot(t *testing.T, root string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out = append(out, path+"\n"+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBadCertificatesAreReportedAndNeverOverwritten(t *testing.T) {
	find := func(n *Node, name string) Certificate {
		for _, c := range Certificates(n.Cluster) {
			if c.Name == name {
				return c
			}
		}
		t.Fatalf("no certificate %s", name)
		return Certificate{}
	}
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, n *Node)
		cert  string
		want  string
	}{
		"expired": {func(_ *testing.T, n *Node) { n.Now = func() time.Time { return testNow.Add(400 * 24 * time.Hour) } }, "apiserver", "expired"},
		"of another CA": {func(t *testing.T, n *Node) {
			other := testNode(t)
			makeCerts(t, other)
			copyPair(t, other, n, ClusterCA)
		}, "apiserver", "not signed by"},
		"lacking a name":  {func(_ *testing.T, n *Node) { n.Cluster.APIServer.CertSANs = []string{"new.example.org"} }, "apiserver", "new.example.org"},
		"without its key": {func(_ *testing.T, n *Node) { os.Remove(certs.KeyPath(n.PKI(), "apiserver")) }, "apiserver", "apiserver.key is missing"},
		"no authority at all": {func(t *testing.T, n *Node) {
			other := testNode(t)
			makeCerts(t, other)
			copyAs(t, other, "apiserver", n, ClusterCA)
		}, ClusterCA, "no certificate authority"},
		"garbage":       {func(t *testing.T, n *Node) { writeFile(t, certs.CertPath(n.PKI(), "apiserver"), "garbage") }, "apiserver", "apiserver.crt"},
		"a lone CA key": {func(_ *testing.T, n *Node) { os.Remove(certs.CertPath(n.PKI(), ClusterCA)) }, ClusterCA, "without its certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			n := testNode(t)
			makeCerts(t, n)
			tc.spoil(t, n)
			before := snapshot(t, n.Root)
			err := n.Certificate(t.Context(), find(n, tc.cert))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if !slices.Equal(before, snapshot(t, n.Root)) {
				t.Error("files were changed")
			}
		})
	}
}

func copyPair(t *testing.T, from, to *Node, name string) { copyAs(t, from, name, to, name) }

func copyAs(t *testing.T, from *Node, name string, to *Node, as string) {
	t.Helper()
	pair, err := certs.ReadPair(from.PKI(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.WritePair(to.PKI(), as, pair); err != nil {
		t.Fatal(err)
	}
}

func TestExternalCAModeNeedsNoKey(t *testing.T) {
	n := testNode(t)
	makeCerts(t, n)
	if err := os.Remove(certs.KeyPath(n.PKI(), ClusterCA)); err != nil {
		t.Fatal(err)
	}
	makeCerts(t, n)
	for _, arg := range command(t, n, ControllerManager) {
		if strings.HasPrefix(arg, "--cluster-signing-key-file=/") {
			t.Error("the controller manager is told of a key that is not there")
		}
	}
}

func TestKubeconfigsSpeakForTheRightIdentity(t *testing.T) {
	n := testNode(t)
	n.Cluster.ControlPlaneEndpoint = "lb.example.org:443"
	makeCerts(t, n)
	for file, want := range map[string]struct{ name, group, server string }{
		AdminConf:      {"kubernetes-admin", AdminGroup, "https://lb.example.org:443"},
		SuperAdminConf: {"kubernetes-super-admin", "system:masters", "https://lb.example.org:443"},
		KubeletConf:    {"system:node:node-1", "system:nodes", "https://10.0.0.1:6443"},
		ControllerConf: {"system:kube-controller-manager", "", "https://10.0.0.1:6443"},
		SchedulerConf:  {"system:kube-scheduler", "", "https://10.0.0.1:6443"},
	} {
		cfg, err := certs.ReadKubeconfig(n.Conf(file))
		if err != nil {
			t.Fatal(err)
		}
		pair, err := certs.UserPair(cfg)
		if err != nil {
			t.Fatal(err)
		}
		cluster, _, _ := certs.Current(cfg)
		subject := pair.Cert.Subject
		if subject.CommonName != want.name || strings.Join(subject.Organization, ",") != want.group || cluster.Server != want.server {
			t.Errorf("%s: %v at %s, want %+v", file, subject, cluster.Server, want)
		}
		if info, err := os.Stat(n.Conf(file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", file, info.Mode())
		}
	}
	if err := n.Kubeconfig(t.Context(), Identity{File: AdminConf, CommonName: "kubernetes-admin", Local: true}); err == nil || !strings.Contains(err.Error(), "unexpected API Server URL") {
		t.Errorf("a kubeconfig of another server must be reported: %v", err)
	}
}

func TestRenewKeepsSubjectAndNamesAndChangesTheRest(t *testing.T) {
	n := testNode(t)
	makeCerts(t, n)
	n.Now = func() time.Time { return testNow.Add(300 * 24 * time.Hour) }
	for _, name := range Renewable(n.Cluster) {
		if err := n.Renew(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	leaves, authorities := n.Expirations()
	if len(leaves) != len(Renewable(n.Cluster)) || len(authorities) != 3 {
		t.Errorf("%d leaves, %d authorities", len(leaves), len(authorities))
	}
	for _, e := range leaves {
		if want := n.Now().Add(365 * 24 * time.Hour); !e.Expires.Equal(want) || e.Missing {
			t.Errorf("%s ends %s, want %s", e.Name, e.Expires, want)
		}
	}
	for _, e := range authorities {
		if e.Expires.After(testNow.Add(10 * 365 * 24 * time.Hour)) {
			t.Errorf("authority %s was renewed", e.Name)
		}
	}
	makeCerts(t, n) // still good: same names, same authorities
	if err := n.Renew(t.Context(), "nonsense"); err == nil {
		t.Error("an unknown certificate must be refused")
	}
	os.Remove(n.Conf(SchedulerConf))
	if err := n.Renew(t.Context(), SchedulerConf); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file must be fs.ErrNotExist, got %v", err)
	}
}

func TestRequestsAreForTheSameNames(t *testing.T) {
	n := testNode(t)
	dir := t.TempDir()
	if err := n.Requests(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(n.PKI(), "etcd/server.csr"), filepath.Join(n.PKI(), "etcd/server.key"), filepath.Join(dir, "admin.conf"), filepath.Join(dir, "admin.conf.csr")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if err := n.Requests(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("keys must not be replaced: %v", err)
	}
}

func TestSealedCertificatesOpenOnlyWithTheirKey(t *testing.T) {
	key, err := NewCertificateKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal([]byte("private"), key)
	if err != nil || strings.Contains(string(sealed), "private") {
		t.Fatalf("%q, %v", sealed, err)
	}
	if back, err := unseal(sealed, key); err != nil || string(back) != "private" {
		t.Errorf("%q, %v", back, err)
	}
	other, _ := NewCertificateKey()
	if _, err := unseal(sealed, other); err == nil || !strings.Contains(err.Error(), "--certificate-key") {
		t.Errorf("got %v", err)
	}
	if _, err := unseal([]byte("x"), key); err == nil {
		t.Error("short data must be refused")
	}
	if _, err := seal(nil, "nothex"); err == nil {
		t.Error("a bad key must be refused")
	}
}

func TestSplitNamesDropsDoubles(t *testing.T) {
	dns, ips := splitNames([]string{"a", "10.0.0.1", "a", "", "10.0.0.1", "::1"})
	if !slices.Equal(dns, []string{"a"}) || len(ips) != 2 {
		t.Errorf("%v %v", dns, ips)
	}
}
