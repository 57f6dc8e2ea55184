package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"pilotis.dev/test/e2e/daemons"
)

// server is a kube-apiserver that runs.
type server struct {
	*daemons.Daemon
	certificates daemons.Certificates
	admin        *rest.Config // of system:masters, without rate limit
	client       kubernetes.Interface
	dynamic      dynamic.Interface
}

// etcd is where the servers of this package keep their objects, each under a prefix of its own.
var etcd string

// shared is the server that all tests talk to. It runs the admission plugins of a usual cluster, and the one that
// guards owner references.
var shared *server

// outside is an address of the tests' own network that is neither loopback nor link-local: where kubelets and pods are.
const outside = "192.0.2.1"

// inside is set in the network namespace of its own where the tests run, with all that they start: what a server that
// fails a test connects to cannot be anybody else's.
const inside = "PILOTIS_TEST_NETWORK"

func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(isolated())
	}
	os.Exit(run(m))
}

// isolated runs this program again in a network namespace.
func isolated() int {
	script := "ip link set lo up && ip address add " + outside + "/24 dev lo && exec \"$@\""
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, os.Args...)...)
	cmd.Env = append(os.Environ(), inside+"=own")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "these tests make a network namespace, run them as root:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "apiserver-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	store, url, err := daemons.StartEtcd(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop(store)
	etcd = url
	if shared, err = startServer(dir, "/registry", "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop(shared.Daemon)
	return m.Run()
}

func stop(d *daemons.Daemon) {
	if err := d.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// startServer starts a kube-apiserver whose files are in dir and waits until it is ready.
func startServer(dir, prefix string, flags ...string) (*server, error) {
	port, err := daemons.FreePort()
	if err != nil {
		return nil, err
	}
	s := &server{}
	if s.certificates, err = daemons.NewCertificates(dir, port); err != nil {
		return nil, err
	}
	own := []string{"--etcd-prefix=" + prefix, "--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.0.0.0/16"}
	s.Daemon, err = daemons.Start(dir, "kube-apiserver", slices.Concat(daemons.APIServerFlags(s.certificates, etcd, port), own, flags)...)
	if err != nil {
		return nil, err
	}
	if err := s.await(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, s.LastLines(25)), s.Stop())
	}
	return s, nil
}

// await makes the clients and waits until the server is ready.
func (s *server) await() (err error) {
	if s.admin, err = clientcmd.BuildConfigFromFlags("", s.certificates.Kubeconfig("super-admin.conf")); err != nil {
		return err
	}
	s.admin.QPS = -1
	s.admin.WarningHandler = rest.NoWarnings{}
	if s.client, err = kubernetes.NewForConfig(s.admin); err != nil {
		return err
	}
	if s.dynamic, err = dynamic.NewForConfig(s.admin); err != nil {
		return err
	}
	return daemons.AwaitReady(s.admin)
}

// namespace makes a namespace for one test, with the service account that a controller makes elsewhere.
func (s *server) namespace(t *testing.T) string {
	t.Helper()
	ns, err := s.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.account(t, ns.Name, "default")
	return ns.Name
}

func (s *server) account(t *testing.T, namespace, name string) *corev1.ServiceAccount {
	t.Helper()
	return made(s.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})).or(t)
}

// as is a client's configuration with a certificate of the cluster's authority for a user.
func (s *server) as(t *testing.T, user string, groups ...string) *rest.Config {
	t.Helper()
	config := rest.AnonymousClientConfig(s.admin)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	var err error
	if config.CertData, config.KeyData, err = s.certificates.Sign("ca", user, groups...); err != nil {
		t.Fatal(err)
	}
	return config
}

func (s *server) clientOf(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	return made(kubernetes.NewForConfig(config)).or(t)
}

// outcome is a value, or why there is none.
type outcome[T any] struct {
	value T
	err   error
}

func made[T any](value T, err error) outcome[T] { return outcome[T]{value, err} }

// or ends the test when there is no value.
func (o outcome[T]) or(t *testing.T) T {
	t.Helper()
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.value
}

// refused wants the error of a request to be of a kind, such as apierrors.IsForbidden.
func refused(t *testing.T, what string, err error, kind func(error) bool) {
	t.Helper()
	if err == nil || !kind(err) {
		t.Errorf("%s: got %v (%s)", what, err, apierrors.ReasonForError(err))
	}
}
