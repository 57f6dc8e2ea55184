package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// job applies a Job whose spec is given in flow style without braces.
func (s *space) job(name, spec string) {
	s.Helper()
	s.apply(fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s, labels: {app: %s}}\nspec: {%s}\n", name, name, spec))
}

// jobTemplate runs a shell command in pods that are restarted as the policy says.
func jobTemplate(policy, command string) string {
	return fmt.Sprintf(`template: {spec: {restartPolicy: %s, terminationGracePeriodSeconds: 1, containers: [{name: c, image: IMAGE, command: [sh, -c, %q]}]}}`, policy, command)
}

// oddFails fails in pods of odd indexes.
const oddFails = `[ $((JOB_COMPLETION_INDEX % 2)) -eq 0 ]`

const complete, failed = `.status.conditions[?(@.type=="Complete")].status`, `.status.conditions[?(@.type=="Failed")].status`

func TestJobAdoptsAndReleases(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should adopt matching orphans and release non-matching pods")
	s.job("j", "parallelism: 2, completions: 4, "+jobTemplate("Never", "sleep 1000"))
	s.shows("2", "job/j", ".status.ready")
	pods := s.names("pods", "batch.kubernetes.io/job-name=j")
	uid := s.read("job/j", ".metadata.uid")
	s.kubectl("patch", "pod", pods[0], "--type=merge", "-p", `{"metadata":{"ownerReferences":null}}`)
	s.shows(uid, "pod/"+pods[0], ".metadata.ownerReferences[0].uid")
	s.kubectl("patch", "pod", pods[0], "--type=merge", "-p", `{"metadata":{"labels":null}}`)
	s.shows("", "pod/"+pods[0], ".metadata.ownerReferences[0].uid")
}

func TestJobIgnoresDisruptions(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition")
	// Each pod leaves a mark on its node and waits to be evicted; one that finds the mark succeeds.
	node := s.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	s.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  completionMode: Indexed
  completions: 2
  parallelism: 2
  backoffLimit: 0
  podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      nodeName: %s
      containers:
      - name: c
        image: IMAGE
        command: [sh, -c, 'f=/mark/%s-$JOB_COMPLETION_INDEX; if [ -e $f ]; then rm $f; exit 0; fi; touch $f; trap "exit 1" TERM; sleep 100000 & wait']
        volumeMounts: [{name: mark, mountPath: /mark}]
      volumes: [{name: mark, hostPath: {path: /tmp}}]
`, node, s.Namespace))
	s.shows("2", "job/j", ".status.ready")
	for _, pod := range s.names("pods", "batch.kubernetes.io/job-name=j") {
		s.inPodNamed(pod, fmt.Sprintf("until ls /mark/%s-$JOB_COMPLETION_INDEX; do sleep 0.1; done", s.Namespace))
		s.evict(pod)
	}
	s.shows("True", "job/j", complete)
	if n := s.read("job/j", ".status.failed"); n != "" && n != "0" {
		s.Errorf("%s evicted pods count as failed", n)
	}
}

// inPodNamed runs a shell command in a pod's only container.
func (s *space) inPodNamed(pod, command string) string {
	s.Helper()
	return s.kubectl("exec", pod, "--", "sh", "-c", command)
}

// evict asks for the eviction of a pod, as kubectl drain does.
func (s *space) evict(pod string) {
	s.Helper()
	if err := s.tryEvict(pod); err != nil {
		s.Fatal(err)
	}
}

func TestJobStatus(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should apply changes to a job status")
	s.job("j", "parallelism: 1, "+jobTemplate("Never", "sleep 1000"))
	s.shows("1", "job/j", ".status.ready")
	s.kubectl("patch", "job", "j", "--subresource=status", "--type=merge", "-p", `{"metadata":{"annotations":{"patched":"status"}},"status":{"startTime":"2026-01-01T00:00:00Z"}}`)
	if got := s.read("job/j", ".metadata.annotations.patched"); got != "status" {
		t.Errorf("the annotation written with the status is %q", got)
	}
	s.keepsStatus(batchV1.WithResource("jobs"), "j")
}

func TestIndexedJob(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname")
	s.job("j", "completionMode: Indexed, completions: 3, parallelism: 2, "+jobTemplate("Never", "echo $JOB_COMPLETION_INDEX $(hostname)"))
	s.shows("True", "job/j", complete)
	if got := s.read("job/j", ".status.completedIndexes"); got != "0-2" {
		t.Errorf("completed indexes %s", got)
	}
	for _, pod := range s.names("pods", "batch.kubernetes.io/job-name=j") {
		index := s.read("pod/"+pod, `.metadata.annotations.batch\.kubernetes\.io/job-completion-index`)
		if got, want := s.kubectl("logs", pod), index+" j-"+index; got != want {
			t.Errorf("pod %s of index %s says %q, want %q", pod, index, got, want)
		}
	}
}

func TestJobIsDeleted(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should delete a job")
	s.job("j", "parallelism: 2, completions: 4, "+jobTemplate("Never", "sleep 1000"))
	s.shows("2", "job/j", ".status.active")
	s.kubectl("delete", "job", "j")
	s.hasNone("jobs", "app=j")
	s.hasNone("pods", "batch.kubernetes.io/job-name=j")
}

func TestBackoffLimitPerIndex(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should execute all indexes despite some failing when using backoffLimitPerIndex")
	s.job("j", "completionMode: Indexed, completions: 4, parallelism: 4, backoffLimitPerIndex: 1, "+jobTemplate("Never", oddFails))
	s.shows("True", "job/j", failed)
	if got := s.kubectl("get", "job", "j", "-o", "jsonpath={.status.completedIndexes} {.status.failedIndexes} {.status.succeeded} {.status.failed}"); got != "0,2 1,3 2 4" {
		t.Errorf("completed, failed indexes, pods succeeded, failed: %s", got)
	}
}

func TestFailIndex(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy")
	s.job("j", "completionMode: Indexed, completions: 2, parallelism: 2, backoffLimitPerIndex: 1, podFailurePolicy: {rules: [{action: FailIndex, onExitCodes: {operator: NotIn, values: [0]}}]}, "+jobTemplate("Never", oddFails))
	s.shows("True", "job/j", failed)
	if got := s.kubectl("get", "job", "j", "-o", "jsonpath={.status.completedIndexes} {.status.failedIndexes} {.status.failed}"); got != "0 1 1" {
		t.Errorf("completed, failed indexes, failed pods: %s", got)
	}
}

func TestMaxFailedIndexes(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes")
	s.job("j", "completionMode: Indexed, completions: 10, parallelism: 1, backoffLimitPerIndex: 0, maxFailedIndexes: 4, "+jobTemplate("Never", "false"))
	s.shows("True", "job/j", failed)
	if got := s.kubectl("get", "job", "j", "-o", `jsonpath={.status.failedIndexes} {.status.conditions[?(@.type=="Failed")].reason}`); got != "0-4 MaxFailedIndexesExceeded" {
		t.Errorf("failed indexes and reason: %s", got)
	}
}

func TestTasksAreRestarted(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally restarted")
	s.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  completions: 4
  parallelism: 2
  template:
    spec:
      restartPolicy: OnFailure
      containers: [{name: c, image: IMAGE, command: [sh, -c, "[ -e /data/once ] || { touch /data/once; exit 1; }"], volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, emptyDir: {}}]
`)
	s.shows("True", "job/j", complete)
	restarts := s.kubectl("get", "pods", "-l", "batch.kubernetes.io/job-name=j", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}")
	if restarts != "1 1 1 1" {
		t.Errorf("the pods were restarted %s times, want once each", restarts)
	}
}

func TestJobLifecycle(t *testing.T) {
	s := behaviour(t, "[sig-apps] Job should manage the lifecycle of a job")
	s.job("j", "suspend: true, "+jobTemplate("Never", "true"))
	s.kubectl("patch", "job", "j", "-p", `{"metadata":{"labels":{"life":"cycle"}}}`)
	s.kubectl("annotate", "job", "j", "replaced=yes")
	if got := s.kubectl("get", "job", "j", "-o", "jsonpath={.metadata.labels.life} {.metadata.annotations.replaced}"); got != "cycle yes" {
		t.Errorf("label and annotation: %s", got)
	}
	all := strings.Fields(s.kubectl("get", "jobs", "-A", "-l", "life=cycle", "-o", "jsonpath={.items[*].metadata.namespace}"))
	if !slices.Contains(all, s.Namespace) {
		t.Errorf("the Job is not among those of all namespaces: %v", all)
	}
	s.deletesCollection(batchV1.WithResource("jobs"), "life=cycle", 1)
}
