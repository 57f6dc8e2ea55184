package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// amounts reads "pods 5, requests.cpu 1".
func amounts(text string) v1.ResourceList {
	list := v1.ResourceList{}
	for part := range strings.SplitSeq(text, ",") {
		name, amount, _ := strings.Cut(strings.TrimSpace(part), " ")
		list[v1.ResourceName(name)] = resource.MustParse(amount)
	}
	return list
}

// quota creates a ResourceQuota and waits until the controller has counted what it covers.
func (s *space) quota(name, hard string, scopes ...v1.ResourceQuotaScope) {
	s.Helper()
	must[*v1.ResourceQuota](s)(s.Client.CoreV1().ResourceQuotas(s.Namespace).Create(s.Context(), &v1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"quota": s.Namespace}}, Spec: v1.ResourceQuotaSpec{Hard: amounts(hard), Scopes: scopes},
	}, metav1.CreateOptions{}))
	s.eventually("the quota "+name+" to have its status", func() (any, bool) {
		q := s.quotaNow(name)
		return q.Status, sameAmounts(q.Status.Hard, q.Spec.Hard) && len(q.Status.Used) == len(q.Spec.Hard)
	})
}

func (s *space) quotaNow(name string) *v1.ResourceQuota {
	s.Helper()
	return must[*v1.ResourceQuota](s)(s.Client.CoreV1().ResourceQuotas(s.Namespace).Get(s.Context(), name, metav1.GetOptions{}))
}

// uses waits until the quota counts exactly these amounts as used, of what they name.
func (s *space) uses(name, used string) {
	s.Helper()
	want := amounts(used)
	s.eventually("the quota "+name+" to count "+used, func() (any, bool) {
		got := s.quotaNow(name).Status.Used
		for r, amount := range want {
			if have, ok := got[r]; !ok || have.Cmp(amount) != 0 {
				return got, false
			}
		}
		return got, true
	})
}

func sameAmounts(a, b v1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, amount := range a {
		if other, ok := b[name]; !ok || amount.Cmp(other) != 0 {
			return false
		}
	}
	return true
}

func TestQuotaStatusIsPrompt(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.")
	s.quota("q", "pods 5, services 2, secrets 10, configmaps 10, requests.cpu 1, requests.memory 500Mi, count/replicasets.apps 5, resourcequotas 1")
	s.uses("q", "pods 0, services 0, secrets 0, configmaps 1, requests.cpu 0, requests.memory 0, count/replicasets.apps 0, resourcequotas 1")
}

// countsTheLife creates the object of a manifest, named "counted", under a quota of its count, and deletes it. The
// namespace has the other quotas already.
func (s *space) countsTheLife(count string, gvr schema.GroupVersionResource, manifest string, others ...string) {
	s.Helper()
	s.quota("q", count+" 2, resourcequotas 5")
	s.uses("q", count+" 0, resourcequotas "+strconv.Itoa(1+len(others)))
	client := s.resource(gvr, false)
	s.create(client, manifest)
	s.uses("q", count+" 1")
	if err := client.Delete(s.Context(), "counted", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.uses("q", count+" 0")
}

func TestQuotaOfSecrets(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret.")
	s.countsTheLife("secrets", v1.SchemeGroupVersion.WithResource("secrets"), `
apiVersion: v1
kind: Secret
metadata: {name: counted}
stringData: {a: b}
`)
}

func TestQuotaOfServices(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service.")
	s.quota("ports", "services.nodeports 1, services.loadbalancers 0")
	s.countsTheLife("services", v1.SchemeGroupVersion.WithResource("services"), `
apiVersion: v1
kind: Service
metadata: {name: counted}
spec: {type: NodePort, ports: [{port: 80}]}
`, "ports")
	s.uses("ports", "services.nodeports 0")
	services := s.resource(v1.SchemeGroupVersion.WithResource("services"), false)
	s.create(services, `{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {type: NodePort, ports: [{port: 80}]}}`)
	s.uses("ports", "services.nodeports 1")
	if _, err := services.Create(s.Context(), s.parsed(`{apiVersion: v1, kind: Service, metadata: {name: two}, spec: {type: NodePort, ports: [{port: 80}]}}`), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a NodePort more than the quota has: %v", err)
	}
}

func TestQuotaOfReplicaSets(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set.")
	s.countsTheLife("count/replicasets.apps", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: counted}
spec:
  replicas: 0
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: IMAGE}]}}
`)
}

func TestQuotaOfReplicationControllers(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller.")
	s.countsTheLife("replicationcontrollers", v1.SchemeGroupVersion.WithResource("replicationcontrollers"), `
apiVersion: v1
kind: ReplicationController
metadata: {name: counted}
spec:
  replicas: 0
  selector: {a: b}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: IMAGE}]}}
`)
}

// asks makes a pod request these amounts, and limits it to them.
func asks(requests string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Containers[0].Resources = v1.ResourceRequirements{Requests: amounts(requests), Limits: amounts(requests)}
	}
}

func (s *space) createPod(pod *v1.Pod) error {
	_, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), pod, metav1.CreateOptions{})
	return err
}

func (s *space) deletePod(name string) {
	s.Helper()
	if err := s.Client.CoreV1().Pods(s.Namespace).Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
}

func TestQuotaOfPods(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod.")
	const hard = "pods 5, requests.cpu 500m, requests.memory 252Mi, requests.ephemeral-storage 30Gi, requests.tests.pilotis.dev/wheel 3"
	s.quota("q", hard)
	const nothing = "pods 0, requests.cpu 0, requests.memory 0, requests.ephemeral-storage 0, requests.tests.pilotis.dev/wheel 0"
	const one = "pods 1, requests.cpu 400m, requests.memory 200Mi, requests.ephemeral-storage 10Gi, requests.tests.pilotis.dev/wheel 2"
	s.uses("q", nothing)
	if err := s.createPod(s.pod("fits", "sleep 3600", asks("cpu 400m, memory 200Mi, ephemeral-storage 10Gi, tests.pilotis.dev/wheel 2"))); err != nil {
		t.Fatal(err)
	}
	s.uses("q", one)
	for name, requests := range map[string]string{
		"cpu": "cpu 200m, memory 1Mi, ephemeral-storage 1Gi", "memory": "cpu 1m, memory 100Mi, ephemeral-storage 1Gi",
		"wheels": "cpu 1m, memory 1Mi, ephemeral-storage 1Gi, tests.pilotis.dev/wheel 2",
	} {
		if err := s.createPod(s.pod(name, "sleep 3600", asks(requests))); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: q") {
			t.Errorf("a pod with too much of %s: %v", name, err)
		}
	}
	_, err := s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), "fits", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"100m"}}}]}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("a change of what the pod requests: %v", err)
	}
	s.uses("q", one)
	s.deletePod("fits")
	s.uses("q", nothing)
}

func TestQuotaByQualityOfService(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope.")
	s.quota("best", "pods 5", v1.ResourceQuotaScopeBestEffort)
	s.quota("notbest", "pods 5", v1.ResourceQuotaScopeNotBestEffort)
	s.countsPodIn("best", "notbest", s.pod("p", "sleep 3600"))
	s.countsPodIn("notbest", "best", s.pod("q", "sleep 3600", asks("cpu 10m, memory 10Mi")))
}

func TestQuotaByTermination(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes.")
	const hard = "pods 5, requests.cpu 1, requests.memory 500Mi, limits.cpu 2, limits.memory 1Gi"
	s.quota("ends", hard, v1.ResourceQuotaScopeTerminating)
	s.quota("stays", hard, v1.ResourceQuotaScopeNotTerminating)
	s.countsPodIn("stays", "ends", s.pod("p", "sleep 3600", asks("cpu 10m, memory 10Mi")))
	s.countsPodIn("ends", "stays", s.pod("q", "sleep 3600", asks("cpu 10m, memory 10Mi"), func(p *v1.Pod) {
		deadline := int64(3600)
		p.Spec.ActiveDeadlineSeconds = &deadline
	}))
}

// countsPodIn creates and deletes the pod: the quota counted counts it meanwhile, the other does not.
func (s *space) countsPodIn(counted, other string, pod *v1.Pod) {
	s.Helper()
	if err := s.createPod(pod); err != nil {
		s.Fatal(err)
	}
	s.uses(counted, "pods 1")
	s.uses(other, "pods 0")
	if cpu, has := pod.Spec.Containers[0].Resources.Requests[v1.ResourceCPU]; has {
		if _, limited := s.quotaNow(counted).Spec.Hard["requests.cpu"]; limited {
			s.uses(counted, fmt.Sprintf("requests.cpu %s, limits.cpu %s, requests.memory 10Mi, limits.memory 10Mi", cpu.String(), cpu.String()))
			s.uses(other, "requests.cpu 0, limits.cpu 0, requests.memory 0, limits.memory 0")
		}
	}
	s.deletePod(pod.Name)
	s.uses(counted, "pods 0")
}

func TestQuotaLife(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota")
	s.quota("q", "cpu 1, memory 500Mi")
	client := s.Client.CoreV1()
	ours := metav1.ListOptions{LabelSelector: "quota=" + s.Namespace}
	if list := must[*v1.ResourceQuotaList](s)(client.ResourceQuotas("").List(s.Context(), ours)); len(list.Items) != 1 || list.Items[0].Namespace != s.Namespace {
		t.Fatalf("%d quotas in all namespaces, 1 is ours", len(list.Items))
	}
	must[*v1.ResourceQuota](s)(client.ResourceQuotas(s.Namespace).Patch(s.Context(), "q", types.StrategicMergePatchType,
		[]byte(`{"metadata":{"labels":{"more":"yes"}},"spec":{"hard":{"memory":"750Mi"}}}`), metav1.PatchOptions{}))
	if got := s.quotaNow("q"); got.Labels["more"] != "yes" || !sameAmounts(got.Spec.Hard, amounts("cpu 1, memory 750Mi")) {
		t.Errorf("patched: labels %v, hard %v", got.Labels, got.Spec.Hard)
	}
	if err := client.ResourceQuotas(s.Namespace).DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
		t.Fatal(err)
	}
	s.eventually("the quotas to be gone", func() (any, bool) {
		list := must[*v1.ResourceQuotaList](s)(client.ResourceQuotas("").List(s.Context(), ours))
		return len(list.Items), len(list.Items) == 0
	})
}

func TestQuotaStatus(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ResourceQuota should apply changes to a resourcequota status")
	s.quota("q", "cpu 500m, memory 500Mi")
	client := s.Client.CoreV1().ResourceQuotas(s.Namespace)
	follows := func(hard string) {
		s.Helper()
		s.eventually("the status to follow the spec", func() (any, bool) {
			q := s.quotaNow("q")
			return q.Status.Hard, sameAmounts(q.Status.Hard, amounts(hard)) && sameAmounts(q.Spec.Hard, amounts(hard))
		})
	}
	s.eventually("an update of the status without conflict", func() (any, bool) {
		q := s.quotaNow("q")
		q.Status.Hard = amounts("cpu 600m, memory 600Mi")
		q, err := client.UpdateStatus(s.Context(), q, metav1.UpdateOptions{})
		if err != nil {
			return err, false
		}
		return q.Status, sameAmounts(q.Status.Hard, amounts("cpu 600m, memory 600Mi"))
	})
	follows("cpu 500m, memory 500Mi")
	must[*v1.ResourceQuota](s)(client.Patch(s.Context(), "q", types.StrategicMergePatchType, []byte(`{"spec":{"hard":{"cpu":"1","memory":"1Gi"}}}`), metav1.PatchOptions{}))
	follows("cpu 1, memory 1Gi")
	for _, patch := range []types.PatchType{types.StrategicMergePatchType, types.MergePatchType} {
		q := must[*v1.ResourceQuota](s)(client.Patch(s.Context(), "q", patch, []byte(`{"spec":{"hard":{"cpu":"9"}},"status":{"hard":{"cpu":"2","memory":"2Gi"}}}`), metav1.PatchOptions{}, "status"))
		if !sameAmounts(q.Status.Hard, amounts("cpu 2, memory 2Gi")) || !sameAmounts(q.Spec.Hard, amounts("cpu 1, memory 1Gi")) {
			t.Errorf("%s of the status: status %v, spec %v", patch, q.Status.Hard, q.Spec.Hard)
		}
		follows("cpu 1, memory 1Gi")
	}
	read := must[*v1.ResourceQuota](s)(s.statusOfQuota("q"))
	if !sameAmounts(read.Status.Hard, read.Spec.Hard) {
		t.Errorf("/status says %v, the spec %v", read.Status.Hard, read.Spec.Hard)
	}
}

func (s *space) statusOfQuota(name string) (*v1.ResourceQuota, error) {
	quota := &v1.ResourceQuota{}
	err := s.Client.CoreV1().RESTClient().Get().Namespace(s.Namespace).Resource("resourcequotas").Name(name).SubResource("status").Do(s.Context()).Into(quota)
	return quota, err
}
