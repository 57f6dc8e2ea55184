package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	cliflag "k8s.io/component-base/cli/flag"
)

// The tests of this package talk to one real server before one real etcd, both on loopback. They start with the first
// test that asks for them.
var shared struct {
	once   sync.Once
	start  func() (*testServer, error)
	server *testServer
	err    error
	etcd   *exec.Cmd
}

// testServer is a running kube-apiserver.
type testServer struct {
	config *rest.Config // system:masters, without rate limit
	client kubernetes.Interface
	etcd   *clientv3.Client
}

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "apiserver")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		if shared.etcd != nil {
			_ = shared.etcd.Process.Kill()
			_ = shared.etcd.Wait()
		}
	}()
	shared.start = func() (*testServer, error) { return startServer(ctx, dir) }
	return m.Run()
}

// serve returns the shared server.
func serve(t testing.TB) *testServer {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = shared.start() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// namespace makes a namespace for one test.
func (s *testServer) namespace(t testing.TB) string {
	t.Helper()
	got, err := s.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Name
}

// etcdBinary is the one that `make build` leaves in bin, or that of PILOTIS_ETCD.
func etcdBinary() (string, error) {
	path := os.Getenv("PILOTIS_ETCD")
	if path == "" {
		path = filepath.Join("..", "..", "..", "bin", "etcd")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the tests need etcd: run `make build` or set PILOTIS_ETCD: %w", err)
	}
	return filepath.Abs(path)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func startEtcd(dir string) (string, error) {
	binary, err := etcdBinary()
	if err != nil {
		return "", err
	}
	ports := [2]int{}
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return "", err
		}
	}
	url, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	shared.etcd = exec.Command(binary, "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error", "--unsafe-no-fsync")
	if err := shared.etcd.Start(); err != nil {
		return "", fmt.Errorf("starting etcd: %w", err)
	}
	return url, nil
}

// startServer starts etcd and a server with the flags of a usual cluster.
func startServer(ctx context.Context, dir string) (*testServer, error) {
	url, err := startEtcd(dir)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	ca, key, err := makeFiles(dir)
	if err != nil {
		return nil, err
	}
	if err := addGates(utilfeature.DefaultMutableFeatureGate); err != nil {
		return nil, err
	}
	o := NewOptions()
	fss := &cliflag.NamedFlagSets{}
	o.AddFlags(fss)
	all := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, fs := range fss.FlagSets {
		all.AddFlagSet(fs)
	}
	if err := all.Parse([]string{
		"--etcd-servers=" + url, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--advertise-address=192.0.2.10",
		"--service-cluster-ip-range=10.96.0.0/16", "--cert-dir=" + dir, "--client-ca-file=" + ca,
		"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--authorization-mode=Node,RBAC",
		"--disable-admission-plugins=ServiceAccount", // no controller makes service accounts here
	}); err != nil {
		return nil, err
	}
	if err := o.Complete(); err != nil {
		return nil, err
	}
	if errs := o.Validate(); len(errs) > 0 {
		return nil, fmt.Errorf("flags: %v", errs)
	}
	chain, run, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	go func() { _ = run(ctx) }()
	config := rest.CopyConfig(chain.GenericAPIServer.LoopbackClientConfig)
	config.ContentType = ""
	s := &testServer{config: config}
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if s.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: 5 * time.Second}); err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := s.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, nil
	})
	return s, err
}

func makeFiles(dir string) (ca, key string, err error) {
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		return "", "", err
	}
	ca, key = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "sa.key")
	if err := os.WriteFile(ca, certPEM, 0o600); err != nil {
		return "", "", err
	}
	return ca, key, keyutil.WriteKey(key, keyPEM)
}

// raw sends a request; an answer that is an error comes back as one.
func (s *testServer) raw(ctx context.Context, verb, path, contentType string, body any) ([]byte, error) {
	data, ok := body.([]byte)
	if !ok && body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req := s.client.Discovery().RESTClient().Verb(verb).RequestURI(path)
	if contentType != "" {
		req = req.SetHeader("Content-Type", contentType)
	}
	if data != nil {
		req = req.Body(data)
	}
	return req.DoRaw(ctx)
}

func mustBe(t *testing.T, what string, err error, is func(error) bool) {
	t.Helper()
	if err == nil || !is(err) {
		t.Errorf("%s: got %v (%s)", what, err, apierrors.ReasonForError(err))
	}
}

// eventually repeats a check until it succeeds.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

func contains(body []byte, text string) bool { return bytes.Contains(body, []byte(text)) }

func itoa(n int) string { return fmt.Sprint(n) }
