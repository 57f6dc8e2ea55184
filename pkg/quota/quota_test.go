package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

func at2030() *clocktesting.FakePassiveClock {
	return clocktesting.NewFakePassiveClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
}

// evaluator returns the one of a resource.
func evaluator(t *testing.T, group, name string, objects ...runtime.Object) quotav1.Evaluator {
	t.Helper()
	list := func(schema.GroupVersionResource, string) ([]runtime.Object, error) { return objects, nil }
	for _, e := range NewConfiguration(list, at2030()).Evaluators() {
		if e.GroupResource() == (schema.GroupResource{Group: group, Resource: name}) {
			return e
		}
	}
	t.Fatalf("no evaluator of %s", name)
	return nil
}

// list is "cpu=1 memory=2Gi".
func list(text string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for _, f := range strings.Fields(text) {
		name, q, _ := strings.Cut(f, "=")
		out[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	return out
}

func text(l corev1.ResourceList) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		q := l[name]
		out = append(out, fmt.Sprintf("%s=%s", name, q.String()))
	}
	return strings.Join(out, " ")
}

func usage(t *testing.T, e quotav1.Evaluator, obj runtime.Object) string {
	t.Helper()
	u, err := e.Usage(obj)
	if err != nil {
		t.Fatal(err)
	}
	return text(u)
}

func pod(change func(p *corev1.Pod), requestsAndLimits ...string) *corev1.Pod {
	p := &corev1.Pod{}
	for i := 0; i+1 < len(requestsAndLimits); i += 2 {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: fmt.Sprint("c", i/2), Resources: corev1.ResourceRequirements{Requests: list(requestsAndLimits[i]), Limits: list(requestsAndLimits[i+1])},
		})
	}
	if change != nil {
		change(p)
	}
	return p
}

func ptr[T any](v T) *T { return &v }

func TestPodUsage(t *testing.T) {
	e := evaluator(t, "", "pods")
	for _, tc := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"nothing asked", pod(nil, "", ""), "count/pods=1 pods=1"},
		{"sum of containers", pod(nil, "cpu=1 memory=1Gi", "cpu=2", "cpu=500m", ""), "count/pods=1 cpu=1500m limits.cpu=2 memory=1Gi pods=1 requests.cpu=1500m requests.memory=1Gi"},
		{"largest init container", pod(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: list("cpu=3")}}}
		}, "cpu=1", ""), "count/pods=1 cpu=3 pods=1 requests.cpu=3"},
		{"devices and huge pages", pod(nil, "example.com/gpu=2 hugepages-2Mi=4Mi ephemeral-storage=1Gi", "ephemeral-storage=2Gi"),
			"count/pods=1 ephemeral-storage=1Gi hugepages-2Mi=4Mi limits.ephemeral-storage=2Gi pods=1 requests.ephemeral-storage=1Gi requests.example.com/gpu=2 requests.hugepages-2Mi=4Mi"},
		{"overhead", pod(func(p *corev1.Pod) { p.Spec.Overhead = list("cpu=1") }, "cpu=1", ""), "count/pods=1 cpu=2 pods=1 requests.cpu=2"},
		{"ended", pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "cpu=1", ""), "count/pods=1"},
		{"stopping within its grace period", pod(func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: at2030().Now()}, ptr(int64(30))
		}, "cpu=1", ""), "count/pods=1 cpu=1 pods=1 requests.cpu=1"},
		{"stuck past its grace period", pod(func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: at2030().Now().Add(-time.Minute)}, ptr(int64(30))
		}, "cpu=1", ""), "count/pods=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := usage(t, e, tc.pod); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestPodsMustSayWhatAQuotaLimits(t *testing.T) {
	e := evaluator(t, "", "pods")
	for _, tc := range []struct {
		required []corev1.ResourceName
		pod      *corev1.Pod
		want     string
	}{
		{[]corev1.ResourceName{"pods"}, pod(nil, "", ""), ""},
		{[]corev1.ResourceName{"requests.cpu"}, pod(nil, "cpu=1", ""), ""},
		{[]corev1.ResourceName{"limits.memory", "cpu"}, pod(nil, "cpu=1", "", "", ""), "must specify cpu for: c1; limits.memory for: c0,c1"},
		{[]corev1.ResourceName{"limits.memory"}, pod(func(p *corev1.Pod) { p.Spec.Resources = &corev1.ResourceRequirements{Limits: list("memory=1Gi")} }, "", ""), ""},
	} {
		err := e.Constraints(tc.required, tc.pod)
		if (err == nil) != (tc.want == "") || (err != nil && err.Error() != tc.want) {
			t.Errorf("%v: got %v, want %q", tc.required, err, tc.want)
		}
	}
}

func TestPodScopes(t *testing.T) {
	e := evaluator(t, "", "pods")
	scope := func(name corev1.ResourceQuotaScope, op corev1.ScopeSelectorOperator, values ...string) corev1.ScopedResourceSelectorRequirement {
		return corev1.ScopedResourceSelectorRequirement{ScopeName: name, Operator: op, Values: values}
	}
	timed := pod(func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr(int64(5)) }, "cpu=1", "")
	gold := pod(func(p *corev1.Pod) { p.Spec.PriorityClassName = "gold" }, "", "")
	far := pod(func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{Namespaces: []string{"x"}}}}}
	}, "", "")
	for _, tc := range []struct {
		scope corev1.ScopedResourceSelectorRequirement
		in    []*corev1.Pod
		out   []*corev1.Pod
	}{
		{scope("Terminating", "Exists"), []*corev1.Pod{timed}, []*corev1.Pod{gold}},
		{scope("NotTerminating", "Exists"), []*corev1.Pod{gold}, []*corev1.Pod{timed}},
		{scope("BestEffort", "Exists"), []*corev1.Pod{gold}, []*corev1.Pod{timed}},
		{scope("NotBestEffort", "Exists"), []*corev1.Pod{timed}, []*corev1.Pod{gold}},
		{scope("PriorityClass", "Exists"), []*corev1.Pod{gold}, []*corev1.Pod{timed}},
		{scope("PriorityClass", "In", "gold", "silver"), []*corev1.Pod{gold}, []*corev1.Pod{timed}},
		{scope("PriorityClass", "NotIn", "silver"), []*corev1.Pod{gold, timed}, nil},
		{scope("PriorityClass", "DoesNotExist"), []*corev1.Pod{timed}, []*corev1.Pod{gold}},
		{scope("CrossNamespacePodAffinity", "Exists"), []*corev1.Pod{far}, []*corev1.Pod{gold}},
	} {
		q := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{tc.scope}}}}
		q.Status.Hard = list("pods=1")
		for want, pods := range map[bool][]*corev1.Pod{true: tc.in, false: tc.out} {
			for _, p := range pods {
				if got, err := e.Matches(q, p); err != nil || got != want {
					t.Errorf("%v: matches %v (%v), want %v", tc.scope, got, err, want)
				}
			}
		}
	}
}

func TestServiceUsage(t *testing.T) {
	e := evaluator(t, "", "services")
	service := func(kind corev1.ServiceType, allocate *bool, ports ...int32) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, AllocateLoadBalancerNodePorts: allocate}}
		for _, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{NodePort: p})
		}
		return s
	}
	for _, tc := range []struct {
		service *corev1.Service
		want    string
	}{
		{service(corev1.ServiceTypeClusterIP, nil, 0), "count/services=1 services=1 services.loadbalancers=0 services.nodeports=0"},
		{service(corev1.ServiceTypeNodePort, nil, 0, 0), "count/services=1 services=1 services.loadbalancers=0 services.nodeports=2"},
		{service(corev1.ServiceTypeLoadBalancer, nil, 0, 0), "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2"},
		{service(corev1.ServiceTypeLoadBalancer, ptr(false), 0, 30000), "count/services=1 services=1 services.loadbalancers=1 services.nodeports=1"},
	} {
		if got := usage(t, e, tc.service); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestClaimUsage(t *testing.T) {
	e := evaluator(t, "", "persistentvolumeclaims")
	c := &corev1.PersistentVolumeClaim{}
	c.Spec.Resources.Requests = list("storage=1Gi")
	if got, want := usage(t, e, c), "count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=1Gi"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.Spec.StorageClassName = ptr("gold")
	c.Status.AllocatedResources = list("storage=2Gi")
	want := "count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/requests.storage=2Gi persistentvolumeclaims=1 requests.storage=2Gi"
	if got := usage(t, e, c); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := e.MatchingResources([]corev1.ResourceName{"gold.storageclass.storage.k8s.io/requests.storage", "pods", "requests.storage", "x.storageclass.storage.k8s.io/other"}); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestResourceClaimUsage(t *testing.T) {
	e := evaluator(t, "resource.k8s.io", "resourceclaims")
	exactly := func(class string, count int64) resourcev1.DeviceRequest {
		return resourcev1.DeviceRequest{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: count}}
	}
	c := &resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
		exactly("gpu", 2), exactly("gpu", 1),
		{FirstAvailable: []resourcev1.DeviceSubRequest{{DeviceClassName: "gpu", Count: 4}, {DeviceClassName: "nic", Count: 1}, {DeviceClassName: "nic", Count: 2}}},
	}}}}
	if got, want := usage(t, e, c), "count/resourceclaims.resource.k8s.io=1 gpu.deviceclass.resource.k8s.io/devices=7 nic.deviceclass.resource.k8s.io/devices=2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUsageOfANamespace(t *testing.T) {
	e := evaluator(t, "", "pods", pod(nil, "cpu=1", ""), pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, "cpu=1", ""), pod(func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr(int64(1)) }, "cpu=2", ""))
	stats, err := e.UsageStats(quotav1.UsageStatsOptions{Namespace: "ns", Resources: []corev1.ResourceName{"pods", "requests.cpu", "count/pods"}, Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotTerminating}})
	if err != nil {
		t.Fatal(err)
	}
	used := quotav1.Mask(stats.Used, []corev1.ResourceName{"pods", "requests.cpu", "count/pods"})
	if got, want := text(used), "count/pods=2 pods=1 requests.cpu=1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
