package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func (s *testServer) bind(t *testing.T, ns, name, node string) error {
	t.Helper()
	return s.client.CoreV1().Pods(ns).Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"by": "test"}}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
}

// A pod is born pending, bound once, and its spec is out of a status writer's reach.
func TestPodLife(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pods := s.client.CoreV1().Pods(ns)
	p := pod("p")
	p.Status.Phase = corev1.PodRunning
	got, err := pods.Create(t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Phase != corev1.PodPending || got.Status.QOSClass != corev1.PodQOSBestEffort || got.Generation != 1 {
		t.Errorf("new pod: phase %s, QoS %s, generation %d", got.Status.Phase, got.Status.QOSClass, got.Generation)
	}
	if err := s.bind(t, ns, "p", "n1"); err != nil {
		t.Fatal(err)
	}
	mustBe(t, "second binding", s.bind(t, ns, "p", "n2"), apierrors.IsConflict)
	if got, err = pods.Get(t.Context(), "p", metav1.GetOptions{}); err != nil || got.Spec.NodeName != "n1" || got.Annotations["by"] != "test" {
		t.Fatalf("bound pod: %+v %v", got, err)
	}
	got.Spec.NodeName = "elsewhere"
	got.Status.Phase, got.Status.PodIP = corev1.PodRunning, "10.244.0.7"
	if got, err = pods.UpdateStatus(t.Context(), got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got.Spec.NodeName != "n1" || len(got.Status.PodIPs) != 1 || got.Status.PodIPs[0].IP != "10.244.0.7" {
		t.Errorf("after a status update: node %s, addresses %v", got.Spec.NodeName, got.Status.PodIPs)
	}
	list, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=n1,status.phase=Running"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("selected by node and phase: %d %v", len(list.Items), err)
	}
	_, err = pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nonsense=1"})
	mustBe(t, "unknown field selector", err, apierrors.IsBadRequest)
}

// A deletion waits for the kubelet of a bound pod, and for nobody else.
func TestPodDeletion(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pods := s.client.CoreV1().Pods(ns)
	for _, tt := range []struct {
		name    string
		bound   bool
		phase   corev1.PodPhase
		options metav1.DeleteOptions
		gone    bool
		grace   int64
	}{
		{name: "unbound", gone: true},
		{name: "bound", bound: true, grace: 30},
		{name: "hurried", bound: true, options: metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](5)}, grace: 5},
		{name: "forced", bound: true, options: metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, gone: true},
		{name: "ended", bound: true, phase: corev1.PodSucceeded, gone: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := pods.Create(t.Context(), pod(tt.name), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if tt.bound {
				if err := s.bind(t, ns, tt.name, "n1"); err != nil {
					t.Fatal(err)
				}
			}
			if tt.phase != "" {
				patch := []byte(`{"status":{"phase":"` + string(tt.phase) + `"}}`)
				if _, err := pods.Patch(t.Context(), tt.name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
					t.Fatal(err)
				}
			}
			if err := pods.Delete(t.Context(), tt.name, tt.options); err != nil {
				t.Fatal(err)
			}
			got, err := pods.Get(t.Context(), tt.name, metav1.GetOptions{})
			if tt.gone {
				mustBe(t, "after deletion", err, apierrors.IsNotFound)
				return
			}
			if err != nil || got.DeletionTimestamp == nil || *got.DeletionGracePeriodSeconds != tt.grace {
				t.Fatalf("after deletion: %+v %v", got.ObjectMeta, err)
			}
			mustBe(t, "deletion of another pod of that name", pods.Delete(t.Context(), tt.name, *metav1.NewPreconditionDeleteOptions("other")), apierrors.IsConflict)
		})
	}
}

// Evictions take from the budget until it is spent, then the client is told to wait.
func TestEviction(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pods := s.client.CoreV1().Pods(ns)
	minAvailable := intstr.FromInt32(1)
	budget, err := s.client.PolicyV1().PodDisruptionBudgets(ns).Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "b"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &minAvailable, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p1", "p2", "pending"} {
		if _, err := pods.Create(t.Context(), pod(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.bind(t, ns, name, "n1"); err != nil {
			t.Fatal(err)
		}
		if name == "pending" {
			continue
		}
		if _, err := pods.Patch(t.Context(), name, types.MergePatchType,
			[]byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	evict := func(name string) error {
		return s.client.CoreV1().RESTClient().Post().MaxRetries(0). // a refusal is what is looked for, not waited for
										Namespace(ns).Resource("pods").Name(name).SubResource("eviction").
										Body(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}}).Do(t.Context()).Error()
	}
	err = evict("p1")
	mustBe(t, "budget not looked at yet", err, apierrors.IsTooManyRequests)
	budget.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1, ExpectedPods: 2}
	if _, err := s.client.PolicyV1().PodDisruptionBudgets(ns).UpdateStatus(t.Context(), budget, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := evict("pending"); err != nil {
		t.Errorf("a pod that does not run needs no budget: %v", err)
	}
	if err := evict("p1"); err != nil {
		t.Errorf("first eviction: %v", err)
	}
	err = evict("p2")
	mustBe(t, "second eviction", err, apierrors.IsTooManyRequests)
	if err != nil && !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		t.Errorf("the cause of the refusal is missing: %v", err)
	}
	got, err := pods.Get(t.Context(), "p1", metav1.GetOptions{})
	if err != nil || got.DeletionTimestamp == nil {
		t.Fatalf("evicted pod: %v %v", got, err)
	}
	found := false
	for _, c := range got.Status.Conditions {
		found = found || c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	}
	if !found {
		t.Errorf("evicted pod is not marked: %v", got.Status.Conditions)
	}
	if after, _ := s.client.PolicyV1().PodDisruptionBudgets(ns).Get(t.Context(), "b", metav1.GetOptions{}); after.Status.DisruptionsAllowed != 0 || len(after.Status.DisruptedPods) != 1 {
		t.Errorf("budget after an eviction: %+v", after.Status)
	}
}

// Debugging adds containers to a running pod and can do nothing else.
func TestEphemeralContainers(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pods := s.client.CoreV1().Pods(ns)
	got, err := pods.Create(t.Context(), pod("p"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "example.com/tools"}}}
	got.Labels["sneaked"] = "in"
	if got, err = pods.UpdateEphemeralContainers(t.Context(), "p", got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(got.Spec.EphemeralContainers) != 1 || got.Labels["sneaked"] != "" || got.Generation != 2 {
		t.Errorf("got %d ephemeral containers, labels %v, generation %d", len(got.Spec.EphemeralContainers), got.Labels, got.Generation)
	}
}

// A resize changes CPU and memory of the containers that are there; other containers are refused, not overlooked.
func TestResizeKeepsContainers(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pods, ctx := s.client.CoreV1().Pods(ns), t.Context()
	p := pod("p")
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "example.com/i"})
	was, err := pods.Create(ctx, p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const number, others = "containers may not be added or removed on resize", "only cpu and memory resources are mutable"
	for _, tt := range []struct {
		name   string
		change func(*corev1.PodSpec)
		want   string
	}{
		{"added", func(s *corev1.PodSpec) {
			s.Containers = append(s.Containers, *s.Containers[1].DeepCopy())
			s.Containers[2].Name = "third"
		}, number},
		{"removed", func(s *corev1.PodSpec) { s.Containers = s.Containers[:1] }, number},
		{"added at the start", func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{*s.Containers[1].DeepCopy()}
			s.InitContainers[0].Name = "first"
		}, number},
		{"renamed", func(s *corev1.PodSpec) { s.Containers[1].Name = "other" }, others},
		{"in another order", func(s *corev1.PodSpec) { slices.Reverse(s.Containers) }, others},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wish := was.DeepCopy()
			tt.change(&wish.Spec)
			_, err := pods.UpdateResize(ctx, "p", wish, metav1.UpdateOptions{})
			mustBe(t, "resize", err, apierrors.IsInvalid)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	wish := was.DeepCopy()
	wish.Spec.Containers[0].Image = "example.com/another"
	got, err := pods.UpdateResize(ctx, "p", wish, metav1.UpdateOptions{})
	if err != nil || got.Spec.Containers[0].Image != was.Spec.Containers[0].Image {
		t.Errorf("another image by resize: %v %v", got, err)
	}
}

// Who applies a resize or a debugging container owns that, and not what else the manifest says.
func TestAppliersOfPodPartsOwnThePart(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pods, ctx := s.client.CoreV1().Pods(ns), t.Context()
	p := pod("p")
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	if _, err := pods.Create(ctx, p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	name, image := p.Spec.Containers[0].Name, p.Spec.Containers[0].Image
	for _, tt := range []struct{ part, spec, want string }{
		{"resize", fmt.Sprintf(`{"containers":[{"name":%q,"image":%q,"resources":{"requests":{"cpu":"200m"}}}]}`, name, image),
			fmt.Sprintf(`{"f:spec":{"f:containers":{"k:{\"name\":\"%s\"}":{".":{},"f:resources":{"f:requests":{"f:cpu":{}}}}}}}`, name)},
		{"ephemeralcontainers", fmt.Sprintf(`{"containers":[{"name":%q,"image":%q}],"ephemeralContainers":[{"name":"debug","image":"example.com/tools"}]}`, name, image),
			`{"f:spec":{"f:ephemeralContainers":{"k:{\"name\":\"debug\"}":{".":{},"f:image":{},"f:name":{}}}}}`},
	} {
		body := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"sneaked":"in"}},"spec":` + tt.spec + `}`
		got, err := pods.Patch(ctx, "p", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "of-" + tt.part, Force: ptr.To(true)}, tt.part)
		if err != nil {
			t.Errorf("%s: %v", tt.part, err)
			continue
		}
		owned := ""
		for _, m := range got.ManagedFields {
			if m.Manager == "of-"+tt.part {
				owned = m.FieldsV1.String()
			}
		}
		if owned != tt.want {
			t.Errorf("%s: the applier owns %s, want %s", tt.part, owned, tt.want)
		}
	}
}

// What cannot be streamed is refused before a connection is made.
func TestLogRefusals(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	p := pod("p")
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "example.com/i"})
	if _, err := s.client.CoreV1().Pods(ns).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                            "choose one of: [c second]",
		"?container=none":             "container none is not valid for pod p",
		"?container=c&tailLines=-1":   "tailLines",
		"?container=c&sinceSeconds=0": "sinceSeconds",
		"?container=c&limitBytes=0":   "limitBytes",
		"?container=c&stream=Stdout":  "stream: Forbidden: may not be specified",
	} {
		err := s.client.CoreV1().RESTClient().Get().RequestURI("/api/v1/namespaces/" + ns + "/pods/p/log" + query).Do(t.Context()).Error()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("log%s: want %q, got %v", query, want, err)
		}
	}
	// A pod that no node has yet has written nothing.
	if body, err := s.client.Discovery().RESTClient().Get().RequestURI("/api/v1/namespaces/" + ns + "/pods/p/log?container=c").DoRaw(t.Context()); err != nil || len(body) != 0 {
		t.Errorf("log of an unbound pod: %q %v", body, err)
	}
}
