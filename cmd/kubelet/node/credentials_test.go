package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// signer is an API server that signs every certificate request, and counts who asks for what.
type signer struct {
	*httptest.Server
	ca  *x509.Certificate
	key *ecdsa.PrivateKey

	mu   sync.Mutex
	csrs map[string]*certificatesv1.CertificateSigningRequest
	seen []string // user and path of requests
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca, _ := x509.ParseCertificate(der)
	s := &signer{ca: ca, key: key, csrs: map[string]*certificatesv1.CertificateSigningRequest{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *signer) serve(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := req.Header.Get("Authorization")
	if len(req.TLS.PeerCertificates) > 0 {
		who = req.TLS.PeerCertificates[0].Subject.CommonName
	}
	s.seen = append(s.seen, who+" "+req.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	name, one := strings.CutPrefix(req.URL.Path, "/apis/certificates.k8s.io/v1/certificatesigningrequests/")
	switch {
	case req.Method == http.MethodPost:
		var csr certificatesv1.CertificateSigningRequest
		body, _ := io.ReadAll(req.Body)
		if err := json.Unmarshal(body, &csr); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		csr.Name, csr.UID = "csr-1", "1"
		csr.Status.Certificate = s.sign(csr.Spec.Request)
		csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: v1.ConditionTrue}}
		s.csrs[csr.Name] = &csr
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(csr)
	case one:
		_ = json.NewEncoder(w).Encode(s.csrs[name])
	case req.URL.Query().Get("watch") != "":
		w.(http.Flusher).Flush()
	default:
		list := certificatesv1.CertificateSigningRequestList{TypeMeta: metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequestList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
		for _, c := range s.csrs {
			list.Items = append(list.Items, *c)
		}
		_ = json.NewEncoder(w).Encode(list)
	}
}

func (s *signer) sign(request []byte) []byte {
	block, _ := pem.Decode(request)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: csr.Subject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, csr.PublicKey, s.key)
	if err != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestBootstrap(t *testing.T) {
	server := newSigner(t)
	dir := t.TempDir()
	bootstrap, kubeconfig := filepath.Join(dir, "bootstrap.conf"), filepath.Join(dir, "etc", "kubelet.conf")
	serverCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: server.URL, CertificateAuthorityData: serverCA}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: "abcdef.0123456789abcdef"}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}
	if err := clientcmd.WriteToFile(config, bootstrap); err != nil {
		t.Fatal(err)
	}
	access := Access{Kubeconfig: kubeconfig, Bootstrap: bootstrap, CertDir: filepath.Join(dir, "pki"), NodeName: "n1", Rotate: true, Tune: func(c *rest.Config) { c.ContentType = "application/json" }}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	credentials, err := Load(ctx, access)
	if err != nil {
		t.Fatal(err)
	}
	if len(server.seen) != 0 || credentials.Ready() {
		t.Error("the API server was asked before Run")
	}
	ended := make(chan struct{})
	go func() { credentials.Run(ctx); close(ended) }()
	eventually(t, "kubelet.conf is written", func() bool { _, err := os.Stat(kubeconfig); return err == nil && credentials.Ready() })
	if _, err := os.Stat(filepath.Join(dir, "pki", "kubelet-client-current.pem")); err != nil {
		t.Error(err)
	}
	client, err := kubernetes.NewForConfig(credentials.Config)
	if err != nil {
		t.Fatal(err)
	}
	client.CertificatesV1().CertificateSigningRequests().Get(ctx, "csr-1", metav1.GetOptions{}) //nolint:errcheck // what the server saw counts
	server.mu.Lock()
	csr, seen := server.csrs["csr-1"], strings.Join(server.seen, "\n")
	server.mu.Unlock()
	if csr.Spec.SignerName != "kubernetes.io/kube-apiserver-client-kubelet" {
		t.Errorf("signer %s", csr.Spec.SignerName)
	}
	if !strings.HasPrefix(seen, "Bearer abcdef.0123456789abcdef ") || !strings.Contains(seen, "system:node:n1 /apis/certificates.k8s.io/v1/certificatesigningrequests/csr-1") {
		t.Errorf("requests:\n%s", seen)
	}
	// The next kubelet needs the bootstrap file no more.
	access.Bootstrap = filepath.Join(dir, "gone")
	again, err := Load(ctx, access)
	if err != nil || !again.Ready() {
		t.Errorf("loading what bootstrap wrote: %v", err)
	}
	stop()
	<-ended
}

// eventually waits for other goroutines and real connections.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestLoadSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		access Access
		want   string
	}{
		{Access{Kubeconfig: dir + "/none"}, "--bootstrap-kubeconfig is not set"},
		{Access{Kubeconfig: dir + "/none", Bootstrap: dir + "/none2"}, "unable to load bootstrap kubeconfig"},
	} {
		if _, err := Load(t.Context(), c.access); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestServingCertificate(t *testing.T) {
	dir := t.TempDir()
	c := ServingConfig{CertDir: dir, NodeName: "n1", Addresses: func() []v1.NodeAddress { return []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "10.0.0.4"}} }}
	get, _, err := ServingCertificate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || leaf.VerifyHostname("n1") != nil || leaf.VerifyHostname("10.0.0.4") != nil {
		t.Errorf("%v, %v %v", err, leaf.DNSNames, leaf.IPAddresses)
	}
	again, _, err := ServingCertificate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := again(nil); string(second.Certificate[0]) != string(pair.Certificate[0]) {
		t.Error("a restart makes a new self-signed certificate")
	}
	if _, _, err := ServingCertificate(t.Context(), ServingConfig{CertFile: dir + "/none", KeyFile: dir + "/none"}); err == nil || !strings.Contains(err.Error(), dir+"/none") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestServingTemplate(t *testing.T) {
	if servingTemplate("n1", nil) != nil {
		t.Error("a certificate for no address is asked for")
	}
	got := servingTemplate("n1", []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "10.0.0.4"}, {Type: v1.NodeHostName, Address: "n1"}, {Type: v1.NodeInternalDNS, Address: "n1"}})
	if got.Subject.CommonName != "system:node:n1" || got.Subject.Organization[0] != "system:nodes" || len(got.DNSNames) != 1 || !got.IPAddresses[0].Equal(net.ParseIP("10.0.0.4")) {
		t.Errorf("%+v", got)
	}
}
