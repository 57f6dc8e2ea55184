package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// space is a test's namespace and its clients, which act for the cluster's administrator.
type space struct {
	*testing.T
	Namespace string
	Config    *rest.Config
	Client    kubernetes.Interface
	Dynamic   dynamic.Interface
}

// newSpace makes a namespace that goes with the test. If the test fails, its pods and events are told.
func newSpace(t *testing.T) *space {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // the server's priority and fairness is the limit
	s := &space{T: t, Config: config}
	if s.Client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if s.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	s.Namespace = s.newNamespace()
	t.Cleanup(func() {
		if t.Failed() {
			for _, args := range [][]string{{"describe", "pods"}, {"get", "events", "--sort-by=.lastTimestamp"}, {"get", "all", "-o", "wide"}} {
				out, _ := s.tryKubectl("", args...)
				t.Log(out)
			}
		}
	})
	return s
}

// newNamespace makes a namespace more, whose name begins with the test's.
func (s *space) newNamespace() string {
	s.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(s.Name()))
	ns, err := s.Client.CoreV1().Namespaces().Create(s.Context(), &v1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: name[:min(len(name), 50)] + "-"}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := s.Client.CoreV1().Namespaces().Delete(s.cleanupContext(), ns.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			s.Log(err)
		}
	})
	return ns.Name
}

// eventually repeats check, which says what it saw, until it holds.
func (s *space) eventually(what string, check func() (saw any, holds bool)) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for {
		saw, holds := check()
		if holds {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("waited %v for %s; last seen: %v", patience, what, saw)
		}
		time.Sleep(100 * time.Millisecond) // the poll's interval
	}
}

// must ends the test at an error.
func must[T any](s *space) func(T, error) T {
	return func(value T, err error) T {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
		return value
	}
}

// cleanupContext outlives the test's, for what cleans up after it.
func (s *space) cleanupContext() context.Context { return context.WithoutCancel(s.Context()) }

// tryKubectl runs kubectl in the test's namespace with input and gives what it printed.
func (s *space) tryKubectl(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(), "bin/kubectl"), append([]string{"--namespace=" + s.Namespace}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), errOut.String())
	}
	return out.String(), nil
}

// kubectl gives what kubectl printed; a failure ends the test.
func (s *space) kubectl(args ...string) string {
	s.Helper()
	out, err := s.tryKubectl("", args...)
	if err != nil {
		s.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// apply applies a manifest, in which IMAGE stands for the test image.
func (s *space) apply(manifest string) {
	s.Helper()
	if _, err := s.tryKubectl(strings.ReplaceAll(manifest, "IMAGE", image), "apply", "-f", "-"); err != nil {
		s.Fatal(err)
	}
}
