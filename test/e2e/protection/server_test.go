package protection

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"pilotis.dev/test/e2e/daemons"
	"pilotis.dev/test/e2e/testcert"
)

// etcdURL and certificates are those of all servers; each keeps its objects under a prefix of its own.
var (
	etcdURL      string
	certificates daemons.Certificates
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "protection-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	etcd, url, err := daemons.StartEtcd(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer etcd.Kill()
	etcdURL = url
	if certificates, err = daemons.NewCertificates(dir, 6443); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// server is a kube-apiserver that runs until its test ends.
type server struct {
	*daemons.Daemon
	port   int
	prefix string       // in etcd
	admin  *rest.Config // of system:masters, without rate limit
	client kubernetes.Interface
}

func (s *server) host() string { return fmt.Sprintf("https://127.0.0.1:%d", s.port) }

// defaults of the flags that a test may give itself.
var defaults = []string{"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.0.0.0/24"}

// serve starts a server and waits until it is ready. A flag of the test takes the place of a default one.
func serve(t *testing.T, flags ...string) *server {
	t.Helper()
	s := start(t, flags...)
	must(t, daemons.AwaitReady(s.admin))
	return s
}

// start is serve without waiting.
func start(t *testing.T, flags ...string) *server {
	t.Helper()
	return startOn(t, "", flags...)
}

// startOn is start on a machine of that name.
func startOn(t *testing.T, hostname string, flags ...string) *server {
	t.Helper()
	s := &server{port: daemons.Port(t), prefix: "/" + strings.ReplaceAll(t.Name(), "/", "-")}
	all := append(append(daemons.APIServerFlags(certificates, etcdURL, s.port), "--etcd-prefix="+s.prefix), defaults...)
	name := func(flag string) string { before, _, _ := strings.Cut(flag, "="); return before }
	without := []string{}
	for i, f := range flags {
		if f == "" {
			continue
		}
		if after, ok := strings.CutPrefix(f, "!"); ok { // a flag that is not to be there
			without, flags[i] = append(without, after), ""
			continue
		}
		without = append(without, name(f))
	}
	all = slices.DeleteFunc(all, func(f string) bool { return slices.Contains(without, name(f)) })
	flags = slices.DeleteFunc(flags, func(f string) bool { return f == "" })
	all = append(all, flags...)
	if hostname == "" {
		s.Daemon = daemons.Run(t, t.TempDir(), "kube-apiserver", all...)
	} else {
		s.Daemon = daemons.RunOn(t, hostname, t.TempDir(), "kube-apiserver", all...)
	}
	var err error
	s.admin, err = clientcmd.BuildConfigFromFlags("", certificates.Kubeconfig("super-admin.conf"))
	must(t, err)
	s.admin.Host, s.admin.QPS, s.admin.WarningHandler = s.host(), -1, rest.NoWarnings{}
	s.client = clientOf(t, s.admin)
	return s
}

func clientOf(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	return client
}

// as is the configuration of a client with a certificate for a user.
func (s *server) as(t *testing.T, user string, groups ...string) *rest.Config {
	t.Helper()
	config := rest.AnonymousClientConfig(s.admin)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	var err error
	config.CertData, config.KeyData, err = certificates.Sign("ca", user, groups...)
	must(t, err)
	return config
}

// withToken is the configuration of a client with a bearer token.
func (s *server) withToken(token string) *rest.Config {
	config := rest.AnonymousClientConfig(s.admin)
	config.QPS, config.WarningHandler, config.BearerToken = -1, rest.NoWarnings{}, token
	return config
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file writes a file of the test, or writes it anew as editors and kubelets do, by renaming.
func file(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.WriteFile(path+".new", []byte(text), 0o600))
	must(t, os.Rename(path+".new", path))
	return path
}

// temporary is a new file.
func temporary(t *testing.T, name, text string) string {
	t.Helper()
	return file(t, filepath.Join(t.TempDir(), name), text)
}

// stored is what etcd holds of an object.
func (s *server) stored(t *testing.T, path string) string {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{etcdURL}})
	must(t, err)
	defer etcd.Close()
	got, err := etcd.Get(t.Context(), s.prefix+"/"+path)
	must(t, err)
	if len(got.Kvs) != 1 {
		t.Fatalf("etcd has %d values of %s", len(got.Kvs), path)
	}
	return string(got.Kvs[0].Value)
}

// reply is the answer to a request.
type reply struct {
	code   int
	header http.Header
	body   string
	tls    *tls.ConnectionState
}

func (r reply) String() string { return fmt.Sprintf("%d %.500s", r.code, r.body) }

// get asks for a path over a connection of its own.
func get(t *testing.T, config *rest.Config, path string, headers ...string) reply {
	t.Helper()
	return send(t, config, http.MethodGet, path, "", headers...)
}

func send(t *testing.T, config *rest.Config, verb, path, body string, headers ...string) reply {
	t.Helper()
	r, err := trySend(t, config, verb, path, body, headers...)
	must(t, err)
	return r
}

func trySend(t *testing.T, config *rest.Config, verb, path, body string, headers ...string) (reply, error) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), verb, config.Host+path, strings.NewReader(body))
	must(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	values := map[string][]string{} // given once, a header takes the place of a default
	for i := 0; i < len(headers); i += 2 {
		values[headers[i]] = append(values[headers[i]], headers[i+1])
		req.Header[http.CanonicalHeaderKey(headers[i])] = values[headers[i]]
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(data), resp.TLS}, err
}

// endpoint is an HTTPS server of the test on loopback, with its authority.
type endpoint struct {
	url, authority string // the authority in PEM
}

// listen serves until the test ends.
func listen(t *testing.T, handler http.Handler) endpoint {
	t.Helper()
	authority, certificate, key, err := testcert.Serving("127.0.0.1")
	must(t, err)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(authority))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	must(t, err)
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }() // ends with Close
	t.Cleanup(func() { srv.Close() })
	return endpoint{"https://" + l.Addr().String(), authority}
}

// kubeconfig is how the server reaches an endpoint of the test.
func (e endpoint) kubeconfig(t *testing.T, path string) string {
	t.Helper()
	config := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": e.url + path, "certificate-authority-data": []byte(e.authority)}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
		"users":    []any{map[string]any{"name": "u", "user": map[string]any{}}},
	}
	data, err := json.Marshal(config)
	must(t, err)
	return temporary(t, "kubeconfig.json", string(data))
}

func (s *server) secret(t *testing.T, name string) {
	t.Helper()
	_, err := s.client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"password": confidential},
	}, metav1.CreateOptions{})
	must(t, err)
}

// confidential must not be seen anywhere.
const confidential = "correct-horse-battery"

func encodeStd(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
