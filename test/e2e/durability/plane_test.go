package durability

import (
	"fmt"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"pilotis.dev/test/e2e/daemons"
)

// plane is an etcd and an API server on loopback, each of which can be killed and started again on what it left.
type plane struct {
	*testing.T
	dir     string
	args    map[string][]string
	daemons map[string]*daemons.Daemon
	config  *rest.Config
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	dir := t.TempDir()
	made, err := daemons.NewPlane(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{T: t, dir: dir, daemons: map[string]*daemons.Daemon{}, args: map[string][]string{"etcd": made.Etcd, "kube-apiserver": made.Server}}
	if p.config, err = clientcmd.BuildConfigFromFlags("", made.Kubeconfig("super-admin.conf")); err != nil {
		t.Fatal(err)
	}
	p.config.QPS = -1
	t.Cleanup(func() {
		for _, name := range []string{"kube-apiserver", "etcd"} {
			if d := p.daemons[name]; d != nil {
				if t.Failed() {
					t.Logf("%s:\n%s", name, d.LastLines(15))
				}
				d.Kill()
			}
		}
	})
	p.start("etcd")
	p.start("kube-apiserver")
	p.awaitReady()
	return p
}

func (p *plane) start(name string) {
	d, err := daemons.Start(p.dir, name, p.args[name]...)
	if err != nil {
		p.Fatal(err)
	}
	p.daemons[name] = d
}

// kill9 ends a program by SIGKILL and starts it again.
func (p *plane) kill9(name string) {
	p.daemons[name].Kill()
	p.start(name)
}

func (p *plane) client() kubernetes.Interface {
	c, err := kubernetes.NewForConfig(p.config)
	if err != nil {
		p.Fatal(err)
	}
	return c
}

func (p *plane) awaitReady() {
	p.Helper()
	c := p.client()
	daemons.Eventually(p.T, "the API server to be ready", func() (string, bool) {
		_, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(p.Context())
		return fmt.Sprint(err), err == nil
	})
}
