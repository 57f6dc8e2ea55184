// Package standalone starts etcd, the API server, the controller manager and the scheduler by themselves on loopback, with
// client certificates and the flags that scripts for the upstream daemons use, and no node, kubelet or container.
package standalone

import (
	"encoding/json"
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
	tryControllers(t, kubectl, dir)
}

// oneOfEach is work for as many controllers as possible without a node.
const oneOfEach = `
{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {namespace: work, name: token, annotations: {kubernetes.io/service-account.name: default}}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {namespace: work, name: pods}, spec: {hard: {pods: "100"}}}
---
{apiVersion: v1, kind: Service, metadata: {namespace: work, name: s}, spec: {selector: {app: a}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {namespace: work, name: m}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Endpoints, metadata: {namespace: work, name: m}, subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 80}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {namespace: work, name: set}
spec:
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: example.org/c}]}}
  volumeClaimTemplates: [{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {namespace: work, name: daemon}
spec:
  selector: {matchLabels: {app: d}}
  template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: example.org/c}]}}
---
{apiVersion: v1, kind: ReplicationController, metadata: {namespace: work, name: rc}, spec: {selector: {app: r}, template: {metadata: {labels: {app: r}}, spec: {containers: [{name: c, image: example.org/c}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {namespace: work, name: job}, spec: {activeDeadlineSeconds: 1, ttlSecondsAfterFinished: 1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: example.org/c}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {namespace: work, name: cron}, spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: example.org/c}]}}}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {namespace: work, name: budget}, spec: {minAvailable: 1, selector: {matchLabels: {app: a}}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {namespace: work, name: hpa}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: set}, maxReplicas: 2}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: work, name: ephemeral}, spec: {containers: [{name: c, image: example.org/c}], volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}}}]}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: volume}, spec: {capacity: {storage: 1Mi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, hostPath: {path: /nowhere}}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-1}}
---
{apiVersion: storagemigration.k8s.io/v1, kind: StorageVersionMigration, metadata: {name: secrets}, spec: {resource: {group: "", resource: secrets}}}
`

// tryControllers gives every controller work, and finds none that lacks a right: with --use-service-account-credentials each has those
// of its own account alone, which come from the table of controllers.
func tryControllers(t *testing.T, kubectl func(...string) (string, error), dir string) {
	t.Helper()
	manifest := filepath.Join(dir, "work.yaml")
	write(t, manifest, oneOfEach)
	if out, err := kubectl("create", "namespace", "work"); err != nil {
		t.Fatal(err, out)
	}
	daemons.Eventually(t, "the namespace's ServiceAccount", func() (string, bool) {
		out, err := kubectl("--namespace=work", "get", "serviceaccount", "default")
		return out, err == nil
	})
	if out, err := kubectl("apply", "-f", manifest); err != nil {
		t.Fatal(err, out)
	}
	for what, c := range map[string]struct{ want, args string }{
		"a bound claim of a StatefulSet": {"Bound", "--namespace=work get pvc -o jsonpath={.items[*].status.phase}"},
		"a token in a Secret":            {"ey", "--namespace=work get secret token -o jsonpath={.data.token}"},
		"a counted quota":                {"pods", "--namespace=work get resourcequota pods -o jsonpath={.status.used}"},
		"mirrored Endpoints":             {"192.0.2.1", "--namespace=work get endpointslices -o jsonpath={.items[*].endpoints[*].addresses}"},
		"the end of a Job":               {"NotFound", "--namespace=work get job job"},
		"a node's range of addresses":    {"10.244", "get node node-1 -o jsonpath={.spec.podCIDR}"},
		"a finished migration":           {"Succeeded", "get storageversionmigration secrets -o jsonpath={.status.conditions[?(@.status=='True')].type}"},
		"the authority of the API":       {"BEGIN CERTIFICATE", "get clustertrustbundle --field-selector=spec.signerName=kubernetes.io/kube-apiserver-serving -o jsonpath={.items[*].spec.trustBundle}"},
	} {
		daemons.Eventually(t, what, func() (string, bool) {
			out, _ := kubectl(strings.Split(c.args, " ")...)
			return out, strings.Contains(out, c.want) || c.want == "ey" && strings.HasPrefix(out, "ZXlK") // base64 of it
		})
	}
	if out, err := kubectl("delete", "namespace", "work", "--timeout=60s"); err != nil {
		t.Error(err, out)
	}
	audit, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(audit)) {
		var e struct {
			Verb, RequestURI string
			User             struct{ Username string }
			ResponseStatus   struct{ Code int }
		}
		if err := json.Unmarshal([]byte(line), &e); err == nil && e.ResponseStatus.Code == http.StatusForbidden && strings.HasPrefix(e.User.Username, "system:serviceaccount:kube-system:") {
			t.Errorf("%s may not %s %s", e.User.Username, e.Verb, e.RequestURI)
		}
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
