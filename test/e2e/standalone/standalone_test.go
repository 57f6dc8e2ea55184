// Package standalone starts etcd, the API server, the controller manager and the scheduler by themselves on loopback, with
// client certificates and the flags that scripts for the upstream daemons use, and no node, kubelet or container.
package standalone

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"pilotis.dev/test/e2e/daemons"
)

// TestDaemonsAlone: a Deployment becomes Pods that wait for a node, each daemon is healthy and counts over TLS, and all end on SIGTERM.
func TestDaemonsAlone(t *testing.T) {
	dir := t.TempDir()
	api, etcd, peer, manager, scheduler := daemons.Port(t), daemons.Port(t), daemons.Port(t), daemons.Port(t), daemons.Port(t)
	endpoint := fmt.Sprintf("127.0.0.1:%d", api)
	certificates, err := daemons.NewCertificates(dir, api)
	if err != nil {
		t.Fatal(err)
	}
	at := certificates.At
	kubeconfig := certificates.Kubeconfig("super-admin.conf")

	daemons.Run(t, dir, "etcd",
		"--name=alone", "--data-dir="+filepath.Join(dir, "etcd"),
		fmt.Sprintf("--listen-client-urls=https://127.0.0.1:%d", etcd), fmt.Sprintf("--advertise-client-urls=https://127.0.0.1:%d", etcd),
		fmt.Sprintf("--listen-peer-urls=https://127.0.0.1:%d", peer), fmt.Sprintf("--initial-advertise-peer-urls=https://127.0.0.1:%d", peer),
		fmt.Sprintf("--initial-cluster=alone=https://127.0.0.1:%d", peer),
		"--cert-file="+at("etcd/server.crt"), "--key-file="+at("etcd/server.key"), "--client-cert-auth=true", "--trusted-ca-file="+at("etcd/ca.crt"),
		"--peer-cert-file="+at("etcd/peer.crt"), "--peer-key-file="+at("etcd/peer.key"), "--peer-client-cert-auth=true", "--peer-trusted-ca-file="+at("etcd/ca.crt"))
	audit := filepath.Join(dir, "audit.yaml")
	write(t, audit, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n")
	daemons.Run(t, dir, "kube-apiserver",
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", etcd), "--etcd-cafile="+at("etcd/ca.crt"), "--etcd-certfile="+at("apiserver-etcd-client.crt"), "--etcd-keyfile="+at("apiserver-etcd-client.key"),
		"--etcd-prefix=/registry", "--storage-backend=etcd3", "--storage-media-type=application/vnd.kubernetes.protobuf",
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", api),
		"--tls-cert-file="+at("apiserver.crt"), "--tls-private-key-file="+at("apiserver.key"), "--client-ca-file="+at("ca.crt"),
		"--kubelet-client-certificate="+at("apiserver-kubelet-client.crt"), "--kubelet-client-key="+at("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
		"--requestheader-client-ca-file="+at("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+at("front-proxy-client.crt"), "--proxy-client-key-file="+at("front-proxy-client.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+at("sa.pub"), "--service-account-signing-key-file="+at("sa.key"), "--service-account-lookup=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction,NamespaceLifecycle,LimitRanger,ServiceAccount,DefaultStorageClass,DefaultTolerationSeconds,Priority,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota",
		"--disable-admission-plugins=", "--allow-privileged=true", "--anonymous-auth=true", "--service-cluster-ip-range=10.0.0.0/24", "--service-node-port-range=30000-32767",
		"--audit-policy-file="+audit, "--audit-log-path="+filepath.Join(dir, "audit.log"), "--audit-log-maxage=1", "--cors-allowed-origins=//127.0.0.1(:[0-9]+)?$,//localhost(:[0-9]+)?$",
		"--external-hostname=localhost", "--request-timeout=1m", "--max-requests-inflight=400", "--profiling=false", "--v=2", "--vmodule=")
	admin, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	get := getter(t, admin)
	daemons.Eventually(t, "the API server to be ready", func() (string, bool) {
		code, body := get("https://" + endpoint + "/readyz")
		return body, code == http.StatusOK
	})

	daemons.Run(t, dir, "kube-controller-manager",
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", manager), "--kubeconfig="+filepath.Join(dir, "controller-manager.conf"),
		"--authentication-kubeconfig="+filepath.Join(dir, "controller-manager.conf"), "--authorization-kubeconfig="+filepath.Join(dir, "controller-manager.conf"),
		"--client-ca-file="+at("ca.crt"), "--requestheader-client-ca-file="+at("front-proxy-ca.crt"),
		"--tls-cert-file="+at("apiserver.crt"), "--tls-private-key-file="+at("apiserver.key"),
		"--cluster-name=kubernetes", "--cluster-signing-cert-file="+at("ca.crt"), "--cluster-signing-key-file="+at("ca.key"), "--root-ca-file="+at("ca.crt"),
		"--service-account-private-key-file="+at("sa.key"), "--use-service-account-credentials=true", "--controllers=*,bootstrapsigner,tokencleaner",
		"--leader-elect=true", "--leader-elect-lease-duration=15s", "--allocate-node-cidrs=true", "--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.0.0.0/24", "--v=2")
	daemons.Run(t, dir, "kube-scheduler",
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", scheduler), "--kubeconfig="+filepath.Join(dir, "scheduler.conf"),
		"--authentication-kubeconfig="+filepath.Join(dir, "scheduler.conf"), "--authorization-kubeconfig="+filepath.Join(dir, "scheduler.conf"),
		"--client-ca-file="+at("ca.crt"), "--tls-cert-file="+at("apiserver.crt"), "--tls-private-key-file="+at("apiserver.key"), "--leader-elect=true", "--v=2")

	kubectl := func(args ...string) (string, error) {
		out, err := exec.Command(daemons.Program("kubectl"), append([]string{"--kubeconfig=" + kubeconfig}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for name, p := range map[string]int{"kube-controller-manager": manager, "kube-scheduler": scheduler} {
		daemons.Eventually(t, name+" to be healthy", func() (string, bool) {
			code, body := get(fmt.Sprintf("https://127.0.0.1:%d/healthz", p))
			return body, code == http.StatusOK
		})
		// An administrator may read metrics, others may not.
		daemons.Eventually(t, name+" to show its metrics", func() (string, bool) {
			code, body := get(fmt.Sprintf("https://127.0.0.1:%d/metrics", p))
			return body, code == http.StatusOK && strings.Contains(body, "process_start_time_seconds")
		})
		if code, _ := getter(t, rest.AnonymousClientConfig(admin))(fmt.Sprintf("https://127.0.0.1:%d/metrics", p)); code != http.StatusUnauthorized && code != http.StatusForbidden {
			t.Errorf("%s shows its metrics to anybody: %d", name, code)
		}
		daemons.Eventually(t, name+" to hold its lease", func() (string, bool) {
			out, err := kubectl("--namespace=kube-system", "get", "lease", name, "-o", "jsonpath={.spec.holderIdentity}")
			return out, err == nil && out != ""
		})
	}
	daemons.Eventually(t, "the default ServiceAccount", func() (string, bool) {
		out, err := kubectl("get", "serviceaccount", "default")
		return out, err == nil
	})
	if out, err := kubectl("create", "deployment", "web", "--image=example.org/web:1", "--replicas=3"); err != nil {
		t.Fatal(err, out)
	}
	daemons.Eventually(t, "three Pods to wait for a node", func() (string, bool) {
		out, err := kubectl("get", "events", "--field-selector=reason=FailedScheduling", "-o", "jsonpath={range .items[*]}{.message}{'\\n'}{end}")
		return out, err == nil && strings.Count(out, "0 nodes are available")+strings.Count(out, "no nodes available to schedule pods") >= 3
	})
	if out, err := kubectl("get", "pods", "--field-selector=status.phase=Pending", "-o", "name"); err != nil || strings.Count(out, "pod/web-") != 3 {
		t.Errorf("pending Pods: %q, %v", out, err)
	}
}

// getter gives a function that fetches a URL with the credentials.
func getter(t *testing.T, config *rest.Config) func(url string) (int, string) {
	t.Helper()
	config.Timeout = 5 * time.Second
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return func(url string) (int, string) {
		resp, err := client.Get(url)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, string(body)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
