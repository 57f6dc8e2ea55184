package phases

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pilotis.dev/cmd/kubeadm/config"
)

const rendered = "# What kubeadm writes for node-1 (10.0.0.1) of a default cluster; `go test ./phases -update` in cmd/kubeadm renders it anew.\n"

// The folder manifests/ shows users what a cluster is made of; this test keeps it true.
func TestManifestsFolderIsWhatKubeadmWrites(t *testing.T) {
	n := testNode(t)
	n.Nameservers = true
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
		data, err := n.RenderStaticPod(name)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "../../../manifests/static-pods/"+name+".yaml", append([]byte(rendered), data...))
	}
	for _, name := range []string{CoreDNS, KubeProxy, PodNet} {
		data, err := n.AddonManifest(name)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "../../../manifests/addons/"+name+".yaml", append([]byte(rendered), data...))
	}
}

func TestStaticPodsAreSoundPods(t *testing.T) {
	n := testNode(t)
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
		pod, err := n.StaticPod(name)
		if err != nil {
			t.Fatal(err)
		}
		c := pod.Spec.Containers[0]
		if !pod.Spec.HostNetwork || pod.Spec.PriorityClassName != "system-node-critical" || pod.Spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod %+v", name, pod.Spec)
		}
		if c.Command[0] != name || c.LivenessProbe == nil || c.StartupProbe == nil || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s: container %+v", name, c)
		}
		if args := c.Command[1:]; !slices.IsSorted(args) {
			t.Errorf("%s: arguments are not in order: %v", name, args)
		}
		volumes := map[string]bool{}
		for _, v := range pod.Spec.Volumes {
			volumes[v.Name] = true
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: mount %s has no volume", name, m.Name)
			}
		}
		if time := c.StartupProbe.FailureThreshold * c.StartupProbe.PeriodSeconds; time != 240 {
			t.Errorf("%s: the startup probe gives %d seconds, want what controlPlaneComponentHealthCheck says", name, time)
		}
	}
	if _, err := n.StaticPod("nonsense"); err == nil {
		t.Error("an unknown component must be an error")
	}
}

func command(t *testing.T, n *Node, name string) []string {
	t.Helper()
	pod, err := n.StaticPod(name)
	if err != nil {
		t.Fatal(err)
	}
	return pod.Spec.Containers[0].Command
}

func TestExtraArgsReplaceDefaultsAndMayRepeat(t *testing.T) {
	n := testNode(t)
	n.Cluster.APIServer.ExtraArgs = []config.Arg{{Name: "authorization-mode", Value: "RBAC"}, {Name: "service-account-issuer", Value: "https://new"}, {Name: "service-account-issuer", Value: "https://old"}}
	got := command(t, n, APIServer)
	for _, want := range []string{"--authorization-mode=RBAC", "--service-account-issuer=https://new", "--service-account-issuer=https://old"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if slices.Contains(got, "--authorization-mode=Node,RBAC") || slices.Contains(got, "--service-account-issuer=https://kubernetes.default.svc.cluster.local") {
		t.Error("a default stands beside what replaces it")
	}
	if slices.Index(got, "--service-account-issuer=https://new") > slices.Index(got, "--service-account-issuer=https://old") {
		t.Error("repeated arguments must keep their order")
	}
}

func TestAuthorizationConfigDropsTheMode(t *testing.T) {
	n := testNode(t)
	n.Cluster.APIServer.ExtraArgs = []config.Arg{{Name: "authorization-config", Value: "/etc/authz.yaml"}}
	for _, arg := range command(t, n, APIServer) {
		if strings.HasPrefix(arg, "--authorization-mode") {
			t.Error("the flag and the file exclude each other")
		}
	}
}

func TestProbesFollowUserFlags(t *testing.T) {
	n := testNode(t)
	n.Timeouts.ControlPlaneComponentHealthCheck = &metav1.Duration{Duration: 61 * time.Second}
	n.Cluster.Scheduler.ExtraArgs = []config.Arg{{Name: "bind-address", Value: "0.0.0.0"}, {Name: "secure-port", Value: "11259"}}
	n.Cluster.ControllerManager.ExtraArgs = []config.Arg{{Name: "bind-address", Value: "10.0.0.1"}}
	n.Cluster.Etcd.Local.ExtraArgs = []config.Arg{{Name: "listen-metrics-urls", Value: "http://0.0.0.0:2391,http://x"}}
	for name, want := range map[string]struct {
		host string
		port int32
	}{Scheduler: {"127.0.0.1", 11259}, ControllerManager: {"10.0.0.1", 10257}, Etcd: {"127.0.0.1", 2391}} {
		pod, err := n.StaticPod(name)
		if err != nil {
			t.Fatal(err)
		}
		c := pod.Spec.Containers[0]
		if c.LivenessProbe.HTTPGet.Host != want.host || c.Ports[0].ContainerPort != want.port {
			t.Errorf("%s: probed at %s:%d, want %+v", name, c.LivenessProbe.HTTPGet.Host, c.Ports[0].ContainerPort, want)
		}
		if got := c.StartupProbe.FailureThreshold; got != 31 {
			t.Errorf("%s: %d startup failures for 61 s, want 31", name, got)
		}
	}
}

func TestExternalEtcd(t *testing.T) {
	n := testNode(t)
	n.Cluster.Etcd = config.Etcd{External: &config.ExternalEtcd{Endpoints: []string{"https://a:2379", "https://b:2379"}, CAFile: "/etc/etcd/ca.crt", CertFile: "/etc/etcd/c.crt", KeyFile: "/etc/keys/k.key"}}
	got := command(t, n, APIServer)
	if !slices.Contains(got, "--etcd-servers=https://a:2379,https://b:2379") || !slices.Contains(got, "--etcd-keyfile=/etc/keys/k.key") {
		t.Errorf("command %v", got)
	}
	pod, _ := n.StaticPod(APIServer)
	var mounted []string
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		mounted = append(mounted, m.MountPath)
	}
	if !slices.Contains(mounted, "/etc/etcd") || !slices.Contains(mounted, "/etc/keys") {
		t.Errorf("the client files are not mounted: %v", mounted)
	}
	for _, c := range Certificates(n.Cluster) {
		if strings.Contains(c.Name, "etcd") {
			t.Errorf("certificate %s is made for an etcd that is not ours", c.Name)
		}
	}
}

func TestJoiningEtcdMemberKnowsTheOthers(t *testing.T) {
	n := testNode(t)
	n.EtcdMembers = map[string]string{"node-2": "https://10.0.0.2:2380", "node-1": "https://10.0.0.1:2380"}
	got := command(t, n, Etcd)
	if !slices.Contains(got, "--initial-cluster=node-1=https://10.0.0.1:2380,node-2=https://10.0.0.2:2380") || !slices.Contains(got, "--initial-cluster-state=existing") {
		t.Errorf("command %v", got)
	}
}

func TestIPv6(t *testing.T) {
	n := testNode(t)
	n.Endpoint.AdvertiseAddress = "fd00::1"
	if got := command(t, n, Etcd); !slices.Contains(got, "--listen-client-urls=https://[::1]:2379,https://[fd00::1]:2379") {
		t.Errorf("etcd: %v", got)
	}
	if got := command(t, n, APIServer); !slices.Contains(got, "--etcd-servers=https://[::1]:2379") {
		t.Errorf("API server: %v", got)
	}
}

func TestPatches(t *testing.T) {
	n := testNode(t)
	n.PatchesDir = t.TempDir()
	write := func(name, text string) { writeFile(t, filepath.Join(n.PatchesDir, name), text) }
	write("kube-scheduler0.yaml", "metadata: {labels: {order: first}}\nspec: {containers: [{name: kube-scheduler, resources: {requests: {memory: 64Mi}}}]}")
	write("kube-scheduler1+merge.yaml", "metadata: {labels: {order: second}}")
	write("kube-scheduler2+json.json", `[{"op": "add", "path": "/metadata/labels/json", "value": "yes"}]`)
	write("kube-apiserver.yaml", "metadata: {labels: {order: other}}")
	write("README.md", "not a patch")
	pod, err := n.StaticPod(Scheduler)
	if err != nil {
		t.Fatal(err)
	}
	c := pod.Spec.Containers[0]
	if pod.Labels["order"] != "second" || pod.Labels["json"] != "yes" || c.Resources.Requests.Memory().String() != "64Mi" || c.Resources.Requests.Cpu().String() != "100m" {
		t.Errorf("labels %v, requests %v", pod.Labels, c.Resources.Requests)
	}
	write("kube-scheduler3+json.json", "not JSON")
	if _, err := n.StaticPod(Scheduler); err == nil || !strings.Contains(err.Error(), "kube-scheduler3+json.json") {
		t.Errorf("a broken patch must be named: %v", err)
	}
	write("kubeletconfiguration.yaml", "maxPods: 7")
	if data, err := n.renderKubelet(); err != nil || !strings.Contains(string(data), "maxPods: 7") {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestCorefileForwardsOnlyWhereThereIsSomebodyToAsk(t *testing.T) {
	for _, forward := range []bool{true, false} {
		n := testNode(t)
		n.Nameservers = forward
		objects, err := n.Addon(CoreDNS)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if cm, ok := object.(*corev1.ConfigMap); ok && strings.Contains(cm.Data["Corefile"], "forward .") != forward {
				t.Errorf("nameservers %v, Corefile:\n%s", forward, cm.Data["Corefile"])
			}
			if svc, ok := object.(*corev1.Service); ok && svc.Spec.ClusterIP != "10.96.0.10" {
				t.Errorf("DNS at %s", svc.Spec.ClusterIP)
			}
		}
	}
}

func TestAddonsAreWholeAndTolerateEveryNode(t *testing.T) {
	n := testNode(t)
	for name, want := range map[string]int{CoreDNS: 6, KubeProxy: 6, PodNet: 4} {
		objects, err := n.Addon(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(objects) != want {
			t.Errorf("%s: %d objects, want %d", name, len(objects), want)
		}
		for _, object := range objects {
			ds, ok := object.(*appsv1.DaemonSet)
			if !ok {
				continue
			}
			if spec := ds.Spec.Template.Spec; len(spec.Tolerations) != 1 || spec.Tolerations[0].Operator != corev1.TolerationOpExists || !spec.HostNetwork {
				t.Errorf("%s: %+v", name, spec)
			}
		}
	}
}

func TestProxyConfigIsReadableAgain(t *testing.T) {
	n := testNode(t)
	objects, err := n.Addon(KubeProxy)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		cm, ok := object.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		docs, err := config.Decode([]byte(cm.Data["config.conf"]))
		if err != nil || docs.Proxy.Mode != "nftables" || docs.Proxy.ClusterCIDR != "10.244.0.0/16" {
			t.Errorf("%v\n%s", err, cm.Data["config.conf"])
		}
		if !strings.Contains(cm.Data["kubeconfig.conf"], "server: https://10.0.0.1:6443") {
			t.Error(cm.Data["kubeconfig.conf"])
		}
	}
}
