package conformance

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// labelledPod is a pod that sleeps, with a label.
func (s *space) labelledPod() *v1.Pod {
	return s.pod("p", "sleep 300", func(p *v1.Pod) { p.Labels = map[string]string{"time": "now"} })
}

func TestPodComesAndGoes(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should be submitted and removed [NodeConformance]")
	client, ours := s.Client.CoreV1().Pods(s.Namespace), metav1.ListOptions{LabelSelector: "time=now"}
	events := must[watch.Interface](s)(client.Watch(s.Context(), ours))
	defer events.Stop()
	grace := int64(2)
	pod := s.labelledPod()
	pod.Spec.TerminationGracePeriodSeconds = &grace
	pod = s.start(pod)
	if got := s.names("pods", "time=now"); len(got) != 1 {
		t.Errorf("a list gives %v", got)
	}
	s.sees(events, watch.Added, pod.Name)
	if err := client.Delete(s.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	marked := false
	for {
		e := s.next(events)
		p, ok := e.Object.(*v1.Pod)
		if !ok {
			t.Fatalf("an event of %v", e.Object)
		}
		marked = marked || p.DeletionTimestamp != nil
		if e.Type == watch.Deleted {
			break
		}
	}
	if !marked {
		t.Error("no event showed the pod's deletion timestamp")
	}
	if got := s.names("pods", "time=now"); len(got) != 0 {
		t.Errorf("a list gives %v after the deletion", got)
	}
}

func TestUpdatedPod(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should be updated [NodeConformance]")
	s.start(s.labelledPod())
	client := s.Client.CoreV1().Pods(s.Namespace)
	s.eventually("an update without conflict", func() (any, bool) {
		pod := must[*v1.Pod](s)(client.Get(s.Context(), "p", metav1.GetOptions{}))
		pod.Labels["time"] = "later"
		_, err := client.Update(s.Context(), pod, metav1.UpdateOptions{})
		return err, err == nil
	})
	if now, later := s.names("pods", "time=now"), s.names("pods", "time=later"); len(now) != 0 || len(later) != 1 {
		t.Errorf("of the old label there are %v, of the new one %v", now, later)
	}
}

func TestUpdatedDeadline(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should allow activeDeadlineSeconds to be updated [NodeConformance]")
	pod := s.start(s.labelledPod())
	must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), "p", types.MergePatchType, []byte(`{"spec":{"activeDeadlineSeconds":3}}`), metav1.PatchOptions{}))
	s.await(pod, "ended by its deadline", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed && p.Status.Reason == "DeadlineExceeded" })
}

func TestHostIPOfAPod(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should get a host IP [NodeConformance]")
	pod := s.start(s.labelledPod())
	node := must[*v1.Node](s)(s.Client.CoreV1().Nodes().Get(s.Context(), pod.Spec.NodeName, metav1.GetOptions{}))
	if net.ParseIP(pod.Status.HostIP) == nil || !slices.ContainsFunc(node.Status.Addresses, func(a v1.NodeAddress) bool { return a.Address == pod.Status.HostIP }) {
		t.Errorf("the pod's host IP is %q, its node has %v", pod.Status.HostIP, node.Status.Addresses)
	}
}

func TestQualityOfService(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu")
	list := v1.ResourceList{v1.ResourceCPU: resource.MustParse("50m"), v1.ResourceMemory: resource.MustParse("16Mi")}
	pod := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("p", "sleep 300", func(p *v1.Pod) {
		p.Spec.Containers[0].Resources = v1.ResourceRequirements{Requests: list, Limits: list}
	}), metav1.CreateOptions{}))
	if pod.Status.QOSClass != v1.PodQOSGuaranteed {
		t.Errorf("the pod is %s", pod.Status.QOSClass)
	}
}

func TestLifeOfAPod(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should run through the lifecycle of Pods and PodStatus")
	client := s.Client.CoreV1().Pods(s.Namespace)
	s.start(s.labelledPod())
	must[*v1.Pod](s)(client.Patch(s.Context(), "p", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"time":"later"}},"spec":{"activeDeadlineSeconds":600}}`), metav1.PatchOptions{}))
	if got := s.read("pod/p", ".metadata.labels.time") + s.read("pod/p", ".spec.activeDeadlineSeconds"); got != "later600" {
		t.Errorf("the patched pod says %s", got)
	}
	s.eventually("a replaced status without conflict", func() (any, bool) {
		pod := must[*v1.Pod](s)(client.Get(s.Context(), "p", metav1.GetOptions{}))
		pod.Status.Conditions = append(pod.Status.Conditions, v1.PodCondition{Type: "e2e.example.com/replaced", Status: v1.ConditionTrue})
		replaced, err := client.UpdateStatus(s.Context(), pod, metav1.UpdateOptions{})
		return err, err == nil && slices.ContainsFunc(replaced.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == "e2e.example.com/replaced" })
	})
	if got := s.kubectl("get", "pod", "p", "--subresource=status", "-o", "jsonpath={.status.conditions[*].type}"); !strings.Contains(got, "e2e.example.com/replaced") {
		t.Errorf("the status holds %s", got)
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "time=later"}); err != nil {
		t.Fatal(err)
	}
	s.hasNone("pods", "time=later")
}

func TestGenerationOfPods(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34]")
	client := s.Client.CoreV1().Pods(s.Namespace)
	pod := must[*v1.Pod](s)(client.Create(s.Context(), s.pod("p", "sleep 300", limited), metav1.CreateOptions{}))
	want := int64(1)
	observes := func(what string) {
		t.Helper()
		s.await(pod, fmt.Sprintf("observed at generation %d after %s", want, what), func(p *v1.Pod) bool { return p.Generation == want && p.Status.ObservedGeneration == want })
	}
	observes("its creation")
	for _, c := range []struct {
		what, subresource, patch string
		counts                   bool
	}{
		{"a change of a label", "", `{"metadata":{"labels":{"a":"b"}}}`, false},
		{"a change of a toleration", "", `{"spec":{"tolerations":[{"key":"a","operator":"Exists","effect":"NoSchedule"}]}}`, true},
		{"a deadline", "", `{"spec":{"activeDeadlineSeconds":600}}`, true},
		{"a resize", "resize", `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"60m"}}}]}}`, true},
		{"an ephemeral container", "ephemeralcontainers", `{"spec":{"ephemeralContainers":[{"name":"e","image":"` + image + `","command":["sh","-c","true"]}]}}`, true},
	} {
		var subresources []string
		if c.subresource != "" {
			subresources = append(subresources, c.subresource)
		}
		_, err := client.Patch(s.Context(), "p", types.StrategicMergePatchType, []byte(c.patch), metav1.PatchOptions{}, subresources...)
		if err != nil && c.counts {
			t.Fatalf("%s: %v", c.what, err)
		}
		if c.counts {
			want++
		}
		observes(c.what)
	}
}

func TestGenerationsAreTheServers(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and graceful delete")
	client := s.Client.CoreV1().Pods(s.Namespace)
	grace := int64(30)
	pod := must[*v1.Pod](s)(client.Create(s.Context(), s.pod("p", "trap : TERM; sleep 300", func(p *v1.Pod) {
		p.Generation, p.Finalizers, p.Spec.TerminationGracePeriodSeconds = 100, []string{"e2e.example.com/hold"}, &grace
	}), metav1.CreateOptions{}))
	s.Cleanup(func() {
		if _, err := client.Patch(s.cleanupContext(), "p", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
			s.Log(err)
		}
	})
	if pod.Generation != 1 {
		t.Errorf("a new pod has the generation %d", pod.Generation)
	}
	now := int64(0)
	if err := client.Delete(s.Context(), "p", metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		t.Fatal(err)
	}
	s.await(pod, "at generation 2", func(p *v1.Pod) bool { return p.DeletionTimestamp != nil && p.Generation == 2 })
	if err := client.Delete(s.Context(), "p", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

func TestEphemeralContainers(t *testing.T) {
	for _, c := range []struct {
		name  string
		count int
	}{{"will start an ephemeral container in an existing pod", 1}, {"should update the ephemeral containers in an existing pod", 2}} {
		t.Run(strings.Join(strings.Fields(c.name)[:2], " "), func(t *testing.T) {
			s := behaviour(t, "[sig-node] Ephemeral Containers "+c.name+" [NodeConformance]")
			s.start(s.labelledPod())
			client := s.Client.CoreV1().Pods(s.Namespace)
			for i := range c.count {
				name := fmt.Sprintf("e%d", i)
				s.eventually("an update without conflict", func() (any, bool) {
					pod := must[*v1.Pod](s)(client.Get(s.Context(), "p", metav1.GetOptions{}))
					pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, v1.EphemeralContainer{EphemeralContainerCommon: v1.EphemeralContainerCommon{Name: name, Image: image, Command: []string{"sh", "-c", "echo polo; sleep 300"}}})
					_, err := client.UpdateEphemeralContainers(s.Context(), "p", pod, metav1.UpdateOptions{})
					return err, err == nil
				})
				pod := must[*v1.Pod](s)(client.Get(s.Context(), "p", metav1.GetOptions{}))
				if len(pod.Spec.EphemeralContainers) != i+1 {
					t.Errorf("the pod has %d ephemeral containers, want %d", len(pod.Spec.EphemeralContainers), i+1)
				}
				s.await(pod, name+" running", func(p *v1.Pod) bool {
					return slices.ContainsFunc(p.Status.EphemeralContainerStatuses, func(c v1.ContainerStatus) bool { return c.Name == name && c.State.Running != nil })
				})
				s.eventually("its output", func() (any, bool) {
					said := s.log(pod, name)
					return said, said == "polo\n"
				})
			}
		})
	}
}

func TestRuntimeClassThatIsNot(t *testing.T) {
	s := behaviour(t, "[sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass [NodeConformance]")
	name := s.Namespace + "-none"
	_, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("p", "true", func(p *v1.Pod) { p.Spec.RuntimeClassName = &name }), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v", err)
	}
}

func TestRuntimeClassOfAPod(t *testing.T) {
	s := behaviour(t, "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance]")
	class := s.createClusterWide(schema.GroupVersionResource{Group: "node.k8s.io", Version: "v1", Resource: "runtimeclasses"}, `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: SPACE}
handler: nowhere
`).GetName()
	pod := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("p", "true", func(p *v1.Pod) { p.Spec.RuntimeClassName = &class }), metav1.CreateOptions{}))
	if len(pod.Spec.Overhead) != 0 {
		t.Errorf("the pod has the overhead %v", pod.Spec.Overhead)
	}
	s.await(pod, "on a node", func(p *v1.Pod) bool { return p.Spec.NodeName != "" })
}
