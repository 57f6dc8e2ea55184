package badinput

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pair makes a self-signed certificate that ends at notAfter, and the files of it and its key.
func pair(t *testing.T, name string, notAfter time.Time) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})))
}

// identity is the key that apiserver signs tokens with, in the folder of the run.
var identity, runDir string

// serving counts the folders in which API servers put their certificates: two that start at once must not share one.
var serving atomic.Int64

// apiserver gives the flags of an API server that lacks nothing but etcd.
func apiserver(more ...string) []string {
	return append([]string{"--advertise-address=127.0.0.1", "--etcd-servers=https://127.0.0.1:1", "--service-account-issuer=https://issuer.example",
		"--service-account-key-file=" + identity, "--service-account-signing-key-file=" + identity, "--cert-dir=" + filepath.Join(runDir, fmt.Sprint("serving-", serving.Add(1)))}, more...)
}

// kubeconfig names a server that is not there, with a certificate and its authority, or with a token when it has none.
func kubeconfig(t *testing.T, authority, certificate, key string) string {
	t.Helper()
	user := "{token: none}"
	if certificate != "" {
		user = "{client-certificate: " + certificate + ", client-key: " + key + "}"
	}
	cluster := "{server: \"https://127.0.0.1:6443\"}"
	if authority != "" {
		cluster = "{server: \"https://127.0.0.1:6443\", certificate-authority: " + authority + "}"
	}
	return file(t, "kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: c, cluster: "+cluster+"}]\nusers: [{name: u, user: "+user+"}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n")
}

// clients are the daemons that reach the API server by a kubeconfig, with what else they need.
var clients = map[string][]string{
	"kube-controller-manager": nil, "kube-scheduler": nil, "kube-proxy": nil,
	"podnet": {"--node-name=n", "--cluster-cidr=10.244.0.0/16"}, "cloud-controller-manager": {"--cloud-provider=memory"},
}

func TestClientCertificates(t *testing.T) {
	certificate, key := pair(t, "one", time.Now().Add(time.Hour))
	_, otherKey := pair(t, "other", time.Now().Add(time.Hour))
	old, oldKey := pair(t, "old", time.Now().Add(-time.Hour))
	for _, tt := range []struct{ name, kubeconfig, want string }{
		{"missing", kubeconfig(t, "", "/none.crt", "/none.key"), "/none.crt"},
		{"of another key", kubeconfig(t, "", certificate, otherKey), "private key does not match public key"},
		{"expired", kubeconfig(t, "", old, oldKey), `certificate "old" expired on`},
		{"without authority", kubeconfig(t, "/none-ca.crt", certificate, key), "/none-ca.crt"},
		{"no kubeconfig", "/none.conf", "no such file"},
	} {
		for program, args := range clients {
			t.Run(tt.name+"/"+program, func(t *testing.T) {
				t.Parallel()
				refuses(t, []string{"kubeconfig", tt.kubeconfig, tt.want}, program, append([]string{"--kubeconfig=" + tt.kubeconfig}, args...)...)
			})
		}
	}
}

// TestKubeletCertificates: the credential is told before the container runtime is waited for.
func TestKubeletCertificates(t *testing.T) {
	config := file(t, "config.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\n")
	certificate, _ := pair(t, "one", time.Now().Add(time.Hour))
	_, otherKey := pair(t, "other", time.Now().Add(time.Hour))
	old, oldKey := pair(t, "old", time.Now().Add(-time.Hour))
	for _, tt := range []struct{ name, kubeconfig, want string }{
		{"missing", kubeconfig(t, "", "/none.crt", "/none.key"), "/none.crt"},
		{"of another key", kubeconfig(t, "", certificate, otherKey), "private key does not match public key"},
		{"expired", kubeconfig(t, "", old, oldKey), "expired at"},
		{"no kubeconfig", "/none.conf", "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			says(t, []string{"kubelet: --kubeconfig " + tt.kubeconfig, tt.want}, "",
				"kubelet", "--config="+config, "--kubeconfig="+tt.kubeconfig, "--container-runtime-endpoint=unix:///none.sock", "--root-dir="+t.TempDir())
		})
	}
}

func TestServingCertificates(t *testing.T) {
	certificate, _ := pair(t, "one", time.Now().Add(time.Hour))
	_, otherKey := pair(t, "other", time.Now().Add(time.Hour))
	old, oldKey := pair(t, "old", time.Now().Add(-time.Hour))
	anonymous := kubeconfig(t, "", "", "")
	for program, args := range map[string][]string{"kube-apiserver": apiserver(), "kube-controller-manager": {"--kubeconfig=" + anonymous}, "kube-scheduler": {"--kubeconfig=" + anonymous}} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			refuses(t, []string{"serving on --secure-port", "open /none.crt"}, program, append(args, "--tls-cert-file=/none.crt", "--tls-private-key-file=/none.key")...)
			refuses(t, []string{"serving on --secure-port", "private key does not match public key"}, program, append(args, "--tls-cert-file="+certificate, "--tls-private-key-file="+otherKey)...)
			says(t, []string{`certificate \"old\" expired on`, old}, "", program, append(args, "--tls-cert-file="+old, "--tls-private-key-file="+oldKey)...)
		})
	}
}

// TestAPIServerFiles: the certificates and keys that only the API server reads.
func TestAPIServerFiles(t *testing.T) {
	certificate, _ := pair(t, "one", time.Now().Add(time.Hour))
	_, otherKey := pair(t, "other", time.Now().Add(time.Hour))
	old, oldKey := pair(t, "old", time.Now().Add(-time.Hour))
	for name, tt := range map[string]struct{ want, args []string }{
		"authority of clients missing":   {[]string{"--client-ca-file: open /none"}, []string{"--client-ca-file=/none"}},
		"authority of clients is a key":  {[]string{"--client-ca-file", otherKey}, []string{"--client-ca-file=" + otherKey}},
		"authority of etcd missing":      {[]string{"--etcd-cafile: open /none"}, []string{"--etcd-cafile=/none"}},
		"etcd certificate missing":       {[]string{"--etcd-certfile", "/none.crt"}, []string{"--etcd-certfile=/none.crt", "--etcd-keyfile=" + otherKey}},
		"etcd certificate of another":    {[]string{"--etcd-certfile", "private key does not match public key"}, []string{"--etcd-certfile=" + certificate, "--etcd-keyfile=" + otherKey}},
		"etcd certificate expired":       {[]string{"--etcd-certfile=" + old, "expired at"}, []string{"--etcd-certfile=" + old, "--etcd-keyfile=" + oldKey}},
		"keys of service accounts":       {[]string{"/none.pub"}, []string{"--service-account-key-file=/none.pub"}},
		"signing key of service account": {[]string{"/none.key"}, []string{"--service-account-signing-key-file=/none.key"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			refuses(t, tt.want, "kube-apiserver", apiserver(tt.args...)...)
		})
	}
}
