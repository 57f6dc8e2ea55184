package leadership

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"pilotis.dev/test/e2e/daemons"
)

const lease = "kube-controller-manager"

// plane is an API server with an audit log, and candidates that work as users of their own.
type plane struct {
	*testing.T
	dir    string
	audit  string
	client kubernetes.Interface
	flags  []string // of each controller manager, besides the usual ones
	plane  daemons.Plane
	// manager is the program of the candidates.
	manager string
}

// auditPolicy records who writes, and who leads.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  namespaces: [kube-system]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
  verbs: [create, update]
- level: Metadata
  userGroups: [leadership:candidates]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

func newPlane(t *testing.T, flags ...string) *plane {
	t.Helper()
	p := &plane{T: t, dir: t.TempDir(), flags: flags, manager: "kube-controller-manager"}
	p.audit = filepath.Join(p.dir, "audit.log")
	var err error
	if p.plane, err = daemons.NewPlane(p.dir); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(p.dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	daemons.Run(t, p.dir, "etcd", p.plane.Etcd...)
	daemons.Run(t, p.dir, "kube-apiserver", append(p.plane.Server, "--audit-policy-file="+policy, "--audit-log-path="+p.audit)...)
	config, err := clientcmd.BuildConfigFromFlags("", p.plane.Kubeconfig("super-admin.conf"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if p.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	daemons.Eventually(t, "the API server to be ready", func() (string, bool) {
		_, err := p.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		return fmt.Sprint(err), err == nil
	})
	return p
}

// candidate starts a controller manager that works as the user name.
func (p *plane) candidate(name string) *daemons.Daemon {
	p.Helper()
	logs, kubeconfig := filepath.Join(p.dir, name), p.plane.Kubeconfig(name+".conf")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		p.Fatal(err)
	}
	if _, err := os.Stat(kubeconfig); err != nil {
		out, err := exec.Command(daemons.Program("kubeadm"), "kubeconfig", "user", "--client-name="+name, "--org=system:masters,leadership:candidates",
			"--config="+filepath.Join(p.dir, "kubeadm.yaml")).Output()
		if err != nil {
			p.Fatalf("kubeadm kubeconfig user: %v", err)
		}
		if err := os.WriteFile(kubeconfig, out, 0o600); err != nil {
			p.Fatal(err)
		}
	}
	d, err := daemons.Start(logs, p.manager, append([]string{
		"--kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1", "--secure-port=0", "--root-ca-file=" + p.plane.At("ca.crt"),
		"--service-account-private-key-file=" + p.plane.At("sa.key"),
	}, p.flags...)...)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(d.Kill)
	return d
}

// leader is who has the lease.
func (p *plane) leader() *coordinationv1.Lease {
	l, err := p.client.CoordinationV1().Leases("kube-system").Get(p.Context(), lease, metav1.GetOptions{})
	if err != nil || l.Spec.HolderIdentity == nil || l.Spec.RenewTime == nil {
		return nil
	}
	return l
}

// awaitLeader waits until somebody other than before leads, and says who, and as which user.
func (p *plane) awaitLeader(before string) (identity, user string) {
	p.Helper()
	daemons.Eventually(p.T, "another leader than "+before, func() (string, bool) {
		l := p.leader()
		if l == nil {
			return "no lease", false
		}
		identity = *l.Spec.HolderIdentity
		return identity, identity != "" && identity != before
	})
	for _, e := range p.events() {
		if holder, _ := e.holder(); holder == identity {
			return identity, e.User.Username
		}
	}
	p.Fatalf("the audit log tells of no lease of %s", identity)
	return "", ""
}

// awaitWork makes a namespace, and waits until a controller has made its service account.
func (p *plane) awaitWork(name string) {
	p.Helper()
	name = strings.ToLower(name)
	if _, err := p.client.CoreV1().Namespaces().Create(p.Context(), &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		p.Fatal(err)
	}
	daemons.Eventually(p.T, "the service account of the namespace "+name, func() (string, bool) {
		_, err := p.client.CoreV1().ServiceAccounts(name).Get(p.Context(), "default", metav1.GetOptions{})
		return "none", err == nil
	})
}
