package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// statefulSet applies the StatefulSet db with its headless Service. Its pods are ready while they have the file
// /tmp/www/well; the spec has more members in flow style.
func (s *space) statefulSet(replicas int, version, more string) {
	s.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {app: db}}
spec:
  serviceName: db
  replicas: %d
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}, annotations: {version: %q}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sh, -c, "mkdir /tmp/www; touch /tmp/www/well; exec httpd -f -p 8080 -h /tmp/www"], readinessProbe: {httpGet: {path: /well, port: 8080}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1}}]
  %s
`, replicas, version, more))
}

// ails takes or gives back what makes a pod of statefulSet ready.
func (s *space) ails(pod string, ill bool) {
	s.Helper()
	command, ready := "touch /tmp/www/well", "True"
	if ill {
		command, ready = "rm /tmp/www/well", "False"
	}
	s.inPodNamed(pod, command)
	s.shows(ready, "pod/"+pod, `.status.conditions[?(@.type=="Ready")].status`)
}

// steady looks for a few seconds whether what a controller must not do happens.
func (s *space) steady(what string, check func() (saw any, holds bool)) {
	s.Helper()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if saw, holds := check(); !holds {
			s.Fatalf("%s is no more: %v", what, saw)
		}
	}
}

// holdsAt checks that the StatefulSet db, which was told of a change, has and keeps so many pods.
func (s *space) holdsAt(replicas int) {
	s.Helper()
	s.observed("statefulset/db")
	s.steady(fmt.Sprintf("a StatefulSet held at %d pods", replicas), func() (any, bool) {
		pods := must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "app=db"})).Items
		leaving := slices.ContainsFunc(pods, func(p v1.Pod) bool { return p.DeletionTimestamp != nil })
		return s.names("pods", "app=db"), len(pods) == replicas && !leaving
	})
}

// observed waits until the object's controller has seen its newest spec.
func (s *space) observed(object string) {
	s.Helper()
	s.shows(s.read(object, ".metadata.generation"), object, ".status.observedGeneration")
}

// ordinals follows the pods of a StatefulSet from now on: judge sees every event with what was there before it, by ordinal.
func (s *space) ordinals(judge func(event watch.EventType, ordinal int, now *v1.Pod, before map[int]*v1.Pod)) (stop func()) {
	s.Helper()
	list := must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "app=db"}))
	events := must[watch.Interface](s)(s.Client.CoreV1().Pods(s.Namespace).Watch(s.Context(), metav1.ListOptions{LabelSelector: "app=db", ResourceVersion: list.ResourceVersion}))
	before := map[int]*v1.Pod{}
	for i := range list.Items {
		before[ordinal(&list.Items[i])] = &list.Items[i]
	}
	ending, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for e := range events.ResultChan() {
			pod, ok := e.Object.(*v1.Pod)
			select {
			case <-ending: // what is read of a watch that ends may be an error
				return
			default:
			}
			if !ok {
				s.Errorf("the watch says %v", e.Object)
				return
			}
			judge(e.Type, ordinal(pod), pod, before)
			before[ordinal(pod)] = pod
			if e.Type == watch.Deleted {
				delete(before, ordinal(pod))
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(ending)
		events.Stop()
		<-done
	})
}

func ordinal(pod *v1.Pod) int {
	n, err := strconv.Atoi(pod.Name[strings.LastIndex(pod.Name, "-")+1:])
	if err != nil {
		return -1
	}
	return n
}

func isReady(pod *v1.Pod) bool {
	return pod != nil && slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == v1.PodReady && c.Status == v1.ConditionTrue })
}

func TestOrderedScaling(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow]")
	scale := func(replicas int) {
		t.Helper()
		s.kubectl("scale", "statefulset/db", fmt.Sprintf("--replicas=%d", replicas))
	}
	stop := s.ordinals(func(event watch.EventType, n int, now *v1.Pod, before map[int]*v1.Pod) {
		begins := event == watch.Modified && now.DeletionTimestamp != nil && before[n].DeletionTimestamp == nil
		if event == watch.Added && n > 0 && !isReady(before[n-1]) {
			t.Errorf("db-%d was made before db-%d was ready", n, n-1)
		}
		if begins && before[n+1] != nil {
			t.Errorf("db-%d was deleted while db-%d was there", n, n+1)
		}
	})
	defer stop()
	s.statefulSet(1, "1", "")
	s.shows("1", "statefulset/db", ".status.readyReplicas")
	s.ails("db-0", true)
	scale(3)
	s.holdsAt(1)
	s.ails("db-0", false)
	s.shows("3", "statefulset/db", ".status.readyReplicas")
	for n := range 3 {
		s.ails(fmt.Sprintf("db-%d", n), true)
	}
	scale(0)
	s.holdsAt(3)
	s.ails("db-0", false) // db-2 waits for db-1 still
	s.inPodNamed("db-1", "touch /tmp/www/well")
	s.hasNone("pods", "app=db")
}

func TestBurstScaling(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling should run to completion even with unhealthy pods [Slow]")
	s.statefulSet(2, "1", "podManagementPolicy: Parallel")
	s.shows("2", "statefulset/db", ".status.readyReplicas")
	s.ails("db-0", true)
	s.ails("db-1", true)
	s.kubectl("scale", "statefulset/db", "--replicas=4")
	s.shows("4", "statefulset/db", ".status.replicas")
	s.shows("2", "statefulset/db", ".status.readyReplicas")
	s.ails("db-3", true)
	s.kubectl("scale", "statefulset/db", "--replicas=0")
	s.hasNone("pods", "app=db")
}

func TestFailedStatefulPodComesAgain(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset")
	const port = 21017
	node := s.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	s.start(s.pod("holder", "sleep 1000", func(p *v1.Pod) {
		p.Spec.NodeName = node
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: port, HostPort: port}}
	}))
	failed := map[string]bool{}
	stop := s.ordinals(func(_ watch.EventType, _ int, now *v1.Pod, _ map[int]*v1.Pod) {
		if now.Status.Phase == v1.PodFailed {
			failed[string(now.UID)] = true
		}
	})
	defer stop()
	s.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      nodeName: %s
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sleep, "1000"], ports: [{containerPort: %d, hostPort: %d}]}]
`, node, port, port))
	uids := map[string]bool{}
	s.eventually("the refused pod to be made again", func() (any, bool) {
		if uid, err := s.tryRead("pod/db-0", ".metadata.uid"); err == nil {
			uids[uid] = true
		}
		return uids, len(uids) > 1
	})
	s.kubectl("delete", "pod", "holder")
	s.shows("1", "statefulset/db", ".status.readyReplicas")
	stop()
	if uid := s.read("pod/db-0", ".metadata.uid"); len(failed) == 0 || failed[uid] {
		t.Errorf("pods %v failed, the one that runs is %s", failed, uid)
	}
}

func TestStatefulSetScale(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a working scale subresource")
	s.statefulSet(1, "1", "")
	s.shows("1", "statefulset/db", ".status.readyReplicas")
	s.scales(appsV1.WithResource("statefulsets"), "db")
}

func TestStatefulSetCollections(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets")
	s.statefulSet(1, "1", "")
	s.shows("1", "statefulset/db", ".status.readyReplicas")
	s.kubectl("patch", "statefulset", "db", "-p", `{"metadata":{"labels":{"patched":"yes"}},"spec":{"replicas":2}}`)
	s.shows("2", "statefulset/db", ".status.readyReplicas")
	s.deletesCollection(appsV1.WithResource("statefulsets"), "patched=yes", 1)
	s.hasNone("pods", "app=db")
}

func TestStatefulSetUpdatesAndRollsBack(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications")
	s.statefulSet(3, "1", "")
	s.shows("3", "statefulset/db", ".status.readyReplicas")
	first := s.read("statefulset/db", ".status.updateRevision")
	if current := s.read("statefulset/db", ".status.currentRevision"); current != first {
		t.Errorf("current revision %s, update revision %s of a new StatefulSet", current, first)
	}
	var gone []int
	stop := s.ordinals(func(event watch.EventType, n int, _ *v1.Pod, before map[int]*v1.Pod) {
		if event != watch.Deleted {
			return
		}
		gone = append(gone, n)
		for other, pod := range before {
			if other != n && !isReady(pod) {
				t.Errorf("db-%d was replaced while db-%d was not ready", n, other)
			}
		}
	})
	defer stop()

	s.statefulSet(3, "2", "")
	s.rollsTo("2")
	second := s.read("statefulset/db", ".status.updateRevision")
	if second == first {
		t.Errorf("another template has the same revision %s", first)
	}
	s.statefulSet(3, "1", "")
	s.rollsTo("1")
	stop()
	if got := s.read("statefulset/db", ".status.updateRevision"); got != first {
		t.Errorf("the rollback leads to revision %s, want %s", got, first)
	}
	if revisions := s.names("controllerrevisions", "app=db"); len(revisions) != 2 {
		t.Errorf("the revisions are %v, want two", revisions)
	}
	if want := []int{2, 1, 0, 2, 1, 0}; !slices.Equal(gone, want) {
		t.Errorf("pods were replaced in the order %v, want %v", gone, want)
	}
}

// rollsTo waits until the pods db-0 to db-2 are of this version, ready and of the one revision that is left.
func (s *space) rollsTo(version string) {
	s.Helper()
	s.kubectl("rollout", "status", "statefulset/db", "--timeout=120s")
	for n := range 3 {
		s.shows(version+" True", fmt.Sprintf("pod/db-%d", n), `.metadata.annotations.version} {.status.conditions[?(@.type=="Ready")].status`)
	}
	s.eventually("the current revision to be the updated one", func() (any, bool) {
		revisions := strings.Fields(s.read("statefulset/db", ".status['currentRevision','updateRevision']"))
		return revisions, len(revisions) == 2 && revisions[0] == revisions[1]
	})
}

func TestStatefulSetStatus(t *testing.T) {
	s := behaviour(t, "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints")
	s.statefulSet(1, "1", "")
	s.shows("1", "statefulset/db", ".status.readyReplicas")
	s.keepsStatus(appsV1.WithResource("statefulsets"), "db")
}
