package discovery

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/cluster-bootstrap/token/jws"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

const (
	id     = "abcdef"
	secret = "0123456789abcdef"
)

// server is an API server that publishes cluster-info over TLS, with everything about it adjustable.
type server struct {
	ca       *certs.Pair
	endpoint string
	info     atomic.Pointer[corev1.ConfigMap]
	requests atomic.Int32
}

func newCA(t *testing.T) *certs.Pair {
	t.Helper()
	ca, err := certs.NewCA(certs.Spec{CommonName: "kubernetes", Algorithm: certs.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// start serves with a certificate of signer and publishes published as the cluster's authority.
func start(t *testing.T, signer, published *certs.Pair) *server {
	t.Helper()
	leaf, err := signer.Sign(certs.Spec{CommonName: "kube-apiserver", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Algorithm: certs.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{ca: published}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		info := s.info.Load()
		if r.URL.Path != "/api/v1/namespaces/kube-public/configmaps/cluster-info" || info == nil {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden})
			return
		}
		_ = json.NewEncoder(w).Encode(info)
	}))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Cert.Raw}, PrivateKey: leaf.Key}}}
	web.StartTLS()
	t.Cleanup(web.Close)
	s.endpoint = strings.TrimPrefix(web.URL, "https://")
	text := s.kubeconfig(t)
	signature, err := jws.ComputeDetachedSignature(text, id, secret)
	if err != nil {
		t.Fatal(err)
	}
	s.publish(map[string]string{bootstrapapi.KubeConfigKey: text, bootstrapapi.JWSSignatureKeyPrefix + id: signature})
	return s
}

func (s *server) kubeconfig(t *testing.T) string {
	t.Helper()
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[""] = &clientcmdapi.Cluster{Server: "https://" + s.endpoint, CertificateAuthorityData: certs.EncodeCert(s.ca.Cert)}
	data, err := clientcmd.Write(*cfg)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (s *server) publish(data map[string]string) {
	s.info.Store(&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: data})
}

func (s *server) by(token string, pins ...string) *config.TokenDiscovery {
	return &config.TokenDiscovery{Token: token, APIServerEndpoint: s.endpoint, CACertHashes: pins, UnsafeSkipCAVerification: len(pins) == 0}
}

func TestByTokenTrustsTheRightCluster(t *testing.T) {
	ca := newCA(t)
	s := start(t, ca, ca)
	for name, pins := range map[string][]string{
		"pinned":            {certs.Pin(ca.Cert)},
		"one of two pins":   {certs.Pin(newCA(t).Cert), certs.Pin(ca.Cert)},
		"pin in upper case": {"sha256:" + strings.ToUpper(strings.TrimPrefix(certs.Pin(ca.Cert), "sha256:"))},
		"unpinned":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			found, err := ByToken(t.Context(), s.by(id+"."+secret, pins...), 10*time.Second, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if found.Server != "https://"+s.endpoint || string(found.CertificateAuthorityData) != string(certs.EncodeCert(ca.Cert)) {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestByTokenRefusesImpostorsAtOnce(t *testing.T) {
	ca := newCA(t)
	for name, tc := range map[string]struct {
		server func() *server
		token  string
		pin    string
		want   string
	}{
		"another authority than pinned": {func() *server { return start(t, ca, ca) }, id + "." + secret, certs.Pin(newCA(t).Cert), "none of the public keys"},
		"a wrong token secret":          {func() *server { return start(t, ca, ca) }, id + ".ffffffffffffffff", certs.Pin(ca.Cert), "no valid signature"},
		"changed data": {func() *server {
			s := start(t, ca, ca)
			data := s.info.Load().Data
			s.publish(map[string]string{bootstrapapi.KubeConfigKey: data[bootstrapapi.KubeConfigKey] + "# evil\n", bootstrapapi.JWSSignatureKeyPrefix + id: data[bootstrapapi.JWSSignatureKeyPrefix+id]})
			return s
		}, id + "." + secret, certs.Pin(ca.Cert), "no valid signature"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ByToken(t.Context(), tc.server().by(tc.token, tc.pin), time.Minute, io.Discard)
			if !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want ErrUntrusted with %q", err, tc.want)
			}
		})
	}
}

// A server may relay the true cluster-info without holding the authority's key: it must fail when it is asked over TLS.
func TestByTokenRefusesARelay(t *testing.T) {
	published := newCA(t)
	s := start(t, newCA(t), published)
	_, err := ByToken(t.Context(), s.by(id+"."+secret, certs.Pin(published.Cert)), 500*time.Millisecond, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestByTokenWaitsForTheSignatureAndSaysWhatIsMissing(t *testing.T) {
	ca := newCA(t)
	s := start(t, ca, ca)
	s.publish(map[string]string{bootstrapapi.KubeConfigKey: s.kubeconfig(t)})
	_, err := ByToken(t.Context(), s.by(id+"."+secret, certs.Pin(ca.Cert)), 500*time.Millisecond, io.Discard)
	if err == nil || errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "not signed for token id \"abcdef\"") || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}

func TestByFile(t *testing.T) {
	ca := newCA(t)
	s := start(t, ca, ca)
	write := func(t *testing.T, user *clientcmdapi.AuthInfo) string {
		t.Helper()
		access := certs.Access{Cluster: "c", Server: "https://" + s.endpoint, CA: certs.EncodeCert(ca.Cert), User: "u"}
		cfg := access.Kubeconfig()
		cfg.AuthInfos["u"] = user
		path := filepath.Join(t.TempDir(), "discovery.conf")
		if err := certs.WriteKubeconfig(path, cfg); err != nil {
			t.Fatal(err)
		}
		return path
	}
	found, user, err := ByFile(t.Context(), write(t, &clientcmdapi.AuthInfo{}), 10*time.Second)
	if err != nil || user != nil || found.Server != "https://"+s.endpoint {
		t.Errorf("%+v %+v %v", found, user, err)
	}
	_, user, err = ByFile(t.Context(), write(t, &clientcmdapi.AuthInfo{Token: "t"}), 10*time.Second)
	if err != nil || user == nil || user.Token != "t" {
		t.Errorf("credentials of the file must be kept: %+v %v", user, err)
	}
	s.info.Store(nil)
	if found, _, err = ByFile(t.Context(), write(t, &clientcmdapi.AuthInfo{}), 10*time.Second); err != nil || found.Server != "https://"+s.endpoint {
		t.Errorf("a closed cluster-info leaves the file in force: %+v %v", found, err)
	}
	broken := filepath.Join(t.TempDir(), "broken.conf")
	if err := os.WriteFile(broken, []byte("clusters: 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ByFile(t.Context(), broken, time.Second); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("a broken file must be named: %v", err)
	}
}
