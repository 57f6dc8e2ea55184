package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// onlyOn lets the scheduler put a pod on this node alone.
func onlyOn(node string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{v1.LabelHostname: node} }
}

// cannotRun waits until the scheduler says that no node takes the pod, and why.
func (s *space) cannotRun(pod *v1.Pod, why string) {
	s.Helper()
	s.await(must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), pod, metav1.CreateOptions{})), "unschedulable: "+why, func(p *v1.Pod) bool {
		return p.Spec.NodeName == "" && slices.ContainsFunc(p.Status.Conditions, func(c v1.PodCondition) bool {
			return c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse && c.Reason == v1.PodReasonUnschedulable && strings.Contains(c.Message, why)
		})
	})
}

// ware is a resource of the test's own.
func (s *space) ware() v1.ResourceName { return v1.ResourceName("tests.pilotis.dev/" + s.Namespace) }

// stocks gives a node so much of the test's own resource, until the test ends.
func (s *space) stocks(node string, amount int) {
	s.Helper()
	key := strings.ReplaceAll(string(s.ware()), "/", "~1")
	s.Cleanup(func() {
		patch := fmt.Sprintf(`[{"op":"remove","path":"/status/capacity/%s"},{"op":"remove","path":"/status/allocatable/%s"}]`, key, key)
		if _, err := s.Client.CoreV1().Nodes().Patch(s.cleanupContext(), node, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
			s.Error(err)
		}
	})
	patch := fmt.Sprintf(`[{"op":"add","path":"/status/capacity/%s","value":"%d"},{"op":"add","path":"/status/allocatable/%s","value":"%d"}]`, key, amount, key, amount)
	must[*v1.Node](s)(s.Client.CoreV1().Nodes().Patch(s.Context(), node, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status"))
}

// taking lets a pod ask for so much of the test's own resource.
func (s *space) taking(amount int) func(*v1.Pod) {
	list := v1.ResourceList{s.ware(): *resource.NewQuantity(int64(amount), resource.DecimalSI)}
	return func(p *v1.Pod) {
		p.Spec.Containers[0].Resources = v1.ResourceRequirements{Requests: list, Limits: list}
	}
}

// ranked gives a pod a priority of the test's own.
func (s *space) ranked(value int32) func(*v1.Pod) {
	s.Helper()
	class := must[*schedulingv1.PriorityClass](s)(s.Client.SchedulingV1().PriorityClasses().Create(s.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", s.Namespace, value)}, Value: value,
	}, metav1.CreateOptions{}))
	s.Cleanup(func() {
		if err := s.Client.SchedulingV1().PriorityClasses().Delete(s.cleanupContext(), class.Name, metav1.DeleteOptions{}); err != nil {
			s.Error(err)
		}
	})
	return func(p *v1.Pod) { p.Spec.PriorityClassName = class.Name }
}

func TestResourcesLimitPods(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] SchedulerPredicates validates resource limits of pods that are allowed to run [Serial]")
	node := s.workNodes()[0]
	s.stocks(node, 5)
	s.start(s.pod("first", "sleep 1000", s.taking(3)))
	s.cannotRun(s.pod("too-much", "sleep 1000", s.taking(3)), "Insufficient "+string(s.ware()))
	if pod := s.start(s.pod("rest", "sleep 1000", s.taking(2))); pod.Spec.NodeName != node {
		t.Errorf("the pod runs on %s, which has none of what it takes", pod.Spec.NodeName)
	}
	s.kubectl("delete", "pod", "first")
	s.await(s.pod("too-much", ""), "on the node with room", func(p *v1.Pod) bool { return p.Spec.NodeName == node })
}

func TestNodeSelectorMatches(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] SchedulerPredicates validates that NodeSelector is respected if matching [Serial]")
	for _, node := range s.workNodes() {
		s.labelsNode(node, node)
		pod := s.start(s.pod("on-"+node, "sleep 1000", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{s.nodeLabel(): node} }))
		if pod.Spec.NodeName != node {
			t.Errorf("the pod runs on %s, its selector is of %s", pod.Spec.NodeName, node)
		}
	}
}

func TestNodeSelectorMatchesNone(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] SchedulerPredicates validates that NodeSelector is respected if not matching [Serial]")
	s.cannotRun(s.pod("nowhere", "sleep 1000", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{s.nodeLabel(): "none"} }), "didn't match Pod's node affinity/selector")
}

func TestHostPortOfEveryAddress(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] SchedulerPredicates validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Serial]")
	node := s.workNodes()[0]
	listens := func(ip string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: tcpPort, HostPort: 21322, HostIP: ip, Protocol: v1.ProtocolTCP}}
		}
	}
	s.start(s.pod("every", "sleep 1000", onlyOn(node), listens("0.0.0.0")))
	s.cannotRun(s.pod("one", "sleep 1000", onlyOn(node), listens("127.0.0.1")), "didn't have free ports")
}

func TestPreemption(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] SchedulerPreemption validates basic preemption works [Serial]")
	node, low, middle, high := s.workNodes()[0], s.ranked(1), s.ranked(100), s.ranked(1000)
	s.stocks(node, 5)
	s.start(s.pod("low", "sleep 1000", low, s.taking(2)))
	s.start(s.pod("middle", "sleep 1000", middle, s.taking(3)))
	if pod := s.start(s.pod("high", "sleep 1000", high, s.taking(2))); pod.Spec.NodeName != node {
		t.Errorf("the pod runs on %s", pod.Spec.NodeName)
	}
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Get(s.Context(), "low", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod of the lowest priority is still there: %v", err)
	}
	if p := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Get(s.Context(), "middle", metav1.GetOptions{})); p.DeletionTimestamp != nil || !isReady(p) {
		t.Errorf("the pod that was not in the way is %v", p.Status)
	}
}

func TestPreemptedPodTellsIt(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] SchedulerPreemption validates pod disruption condition is added to the preempted pod [Serial]")
	low, high := s.ranked(1), s.ranked(1000)
	s.stocks(s.workNodes()[0], 1)
	victim := s.start(s.pod("victim", "sleep 1000", low, s.taking(1), func(p *v1.Pod) { p.Finalizers = []string{testFinalizer} }))
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = s.Client.CoreV1().Pods(s.Namespace).Patch(s.cleanupContext(), victim.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		}
	})
	preemptor := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("preemptor", "sleep 1000", high, s.taking(1)), metav1.CreateOptions{}))
	s.await(victim, "preempted", func(p *v1.Pod) bool {
		return p.DeletionTimestamp != nil && slices.ContainsFunc(p.Status.Conditions, func(c v1.PodCondition) bool {
			return c.Type == v1.DisruptionTarget && c.Status == v1.ConditionTrue && c.Reason == v1.PodReasonPreemptionByScheduler
		})
	})
	s.patchPod(victim.Name, `{"metadata":{"finalizers":null}}`)
	s.await(preemptor, "running", isReady)
}

func TestLimitRange(t *testing.T) {
	s := behaviour(t, "[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.")
	limit := func(min, max string) {
		t.Helper()
		s.apply(fmt.Sprintf(`
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, min: {cpu: %s, memory: 100Mi}, max: {cpu: %s, memory: 500Mi}, default: {cpu: 500m, memory: 500Mi}, defaultRequest: {cpu: 100m, memory: 200Mi}}]}
`, min, max))
	}
	create := func(name, requests, limits string) error {
		pod := s.pod(name, "sleep 1000", func(p *v1.Pod) {
			p.Spec.NodeSelector = map[string]string{s.nodeLabel(): "none"} // it need not run
			if requests != "" {
				p.Spec.Containers[0].Resources.Requests = amounts(requests)
			}
			if limits != "" {
				p.Spec.Containers[0].Resources.Limits = amounts(limits)
			}
		})
		_, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), pod, metav1.CreateOptions{})
		return err
	}
	gets := func(name, requests, limits, wantRequests, wantLimits string) {
		t.Helper()
		// A range that was changed or taken away may hold for a moment: admission reads a cache.
		s.eventually("pod "+name+" to be let in", func() (any, bool) {
			err := create(name, requests, limits)
			return err, err == nil
		})
		got := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Get(s.Context(), name, metav1.GetOptions{})).Spec.Containers[0].Resources
		if !sameAmounts(got.Requests, amounts(wantRequests)) || !sameAmounts(got.Limits, amounts(wantLimits)) {
			t.Errorf("pod %s got the requests %v and the limits %v", name, got.Requests, got.Limits)
		}
	}
	refused := func(name, requests, limits string) {
		t.Helper()
		if err := create(name, requests, limits); !apierrors.IsForbidden(err) {
			t.Errorf("a pod outside of the range: %v", err)
		}
	}
	limit("50m", "500m")
	gets("none", "", "", "cpu 100m, memory 200Mi", "cpu 500m, memory 500Mi")
	gets("some", "cpu 300m", "memory 300Mi", "cpu 300m, memory 300Mi", "cpu 500m, memory 300Mi")
	refused("less", "cpu 10m, memory 50Mi", "")
	refused("more", "", "cpu 600m, memory 600Mi")
	limit("10m", "700m")
	gets("small", "cpu 10m", "", "cpu 10m, memory 200Mi", "cpu 500m, memory 500Mi")
	gets("large", "cpu 100m", "cpu 600m", "cpu 100m, memory 200Mi", "cpu 600m, memory 500Mi")
	s.kubectl("delete", "limitrange", "limits")
	gets("free", "cpu 1m", "cpu 2", "cpu 1m", "cpu 2")
}
