package conformance

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failure waits until the Job has failed, and gives the reason.
func (s *space) failure(job string) string {
	s.Helper()
	s.shows("True", "job/"+job, failed)
	return s.read("job/"+job, `.status.conditions[?(@.type=="Failed")].reason`)
}

const jobPods = "batch.kubernetes.io/job-name=j"

func TestJobBackoffLimit(t *testing.T) {
	s := documented(t, "[sig-apps] Job should fail when more pods failed than backoffLimit allows")
	s.job("j", "backoffLimit: 1, "+jobTemplate("Never", "exit 1"))
	if got := s.failure("j"); got != "BackoffLimitExceeded" {
		t.Errorf("the Job failed because of %s", got)
	}
	if got := s.read("job/j", ".status.failed"); got != "2" {
		t.Errorf("%s pods failed, want the first and one more", got)
	}
}

func TestJobDeadline(t *testing.T) {
	s := documented(t, "[sig-apps] Job should fail at activeDeadlineSeconds")
	s.job("j", "activeDeadlineSeconds: 2, "+jobTemplate("Never", "sleep 1000"))
	if got := s.failure("j"); got != "DeadlineExceeded" {
		t.Errorf("the Job failed because of %s", got)
	}
	s.hasNone("pods", jobPods)
}

func TestJobFailsByExitCode(t *testing.T) {
	s := documented(t, "[sig-apps] Job should fail by an exit code with the FailJob action")
	s.job("j", "backoffLimit: 6, parallelism: 2, completions: 2, completionMode: Indexed, podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}, "+
		jobTemplate("Never", "[ $JOB_COMPLETION_INDEX -eq 1 ] || sleep 1000; exit 42"))
	if got := s.failure("j"); got != "PodFailurePolicy" {
		t.Errorf("the Job failed because of %s", got)
	}
	if got := s.kubectl("get", "job", "j", "-o", `jsonpath={.status.failed} {.status.conditions[?(@.type=="FailureTarget")].status}`); got != "2 True" {
		t.Errorf("failed pods and FailureTarget: %s, want the one that said so and the one that was ended", got)
	}
}

func TestJobOfPodsThatNeverBegin(t *testing.T) {
	s := documented(t, "[sig-apps] Job should fail although its pods are deleted before they begin")
	s.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  activeDeadlineSeconds: 2
  podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: IMAGE, command: [sh, -c, "true"], envFrom: [{configMapRef: {name: missing}}]}]
`)
	if got := s.failure("j"); got != "DeadlineExceeded" {
		t.Errorf("the Job failed because of %s", got)
	}
	s.hasNone("pods", jobPods)
}

// TestJobExitCodesIgnored: failures that a rule ignores do not count for the back-off limit.
func TestJobExitCodesIgnored(t *testing.T) {
	s := documented(t, "[sig-apps] Job should not count exit codes that a pod failure policy ignores")
	s.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  backoffLimit: 0
  podFailurePolicy: {rules: [{action: Ignore, onExitCodes: {operator: In, values: [42]}}]}
  template:
    spec:
      restartPolicy: Never
      nodeName: %s
      containers: [{name: c, image: IMAGE, command: [sh, -c, "[ -e /mark/%s ] && rm /mark/%s || { touch /mark/%s; exit 42; }"], volumeMounts: [{name: mark, mountPath: /mark}]}]
      volumes: [{name: mark, hostPath: {path: /tmp}}]
`, s.workNodes()[0], s.Namespace, s.Namespace, s.Namespace))
	s.shows("True", "job/j", complete)
	if got := s.read("job/j", ".status.failed"); got != "" && got != "0" {
		t.Errorf("%s failures count that a rule ignores", got)
	}
}

func TestJobSuccessPolicy(t *testing.T) {
	s := documented(t, "[sig-apps] Job should succeed by the indexes of a success policy")
	s.job("j", "parallelism: 3, completions: 3, completionMode: Indexed, successPolicy: {rules: [{succeededIndexes: '1'}]}, "+jobTemplate("Never", "[ $JOB_COMPLETION_INDEX -eq 1 ] || sleep 1000"))
	s.shows("True", "job/j", complete)
	if got := s.kubectl("get", "job", "j", "-o", `jsonpath={.status.conditions[?(@.type=="Complete")].reason} {.status.conditions[?(@.type=="SuccessCriteriaMet")].reason} {.status.completedIndexes}`); got != "SuccessPolicy SuccessPolicy 1" {
		t.Errorf("reasons and completed indexes: %s", got)
	}
	s.eventually("the pods that are not needed to go", func() (any, bool) {
		running := strings.Fields(s.readAll("pods", metav1.ListOptions{LabelSelector: jobPods, FieldSelector: "status.phase=Running"}, ".items[*].metadata.name"))
		return running, len(running) == 0
	})
}

// TestJobSuccessCount: of three indexes, all of which are listed, one does.
func TestJobSuccessCount(t *testing.T) {
	s := documented(t, "[sig-apps] Job should succeed by the number of indexes of a success policy")
	s.job("j", "parallelism: 3, completions: 3, completionMode: Indexed, successPolicy: {rules: [{succeededIndexes: 0-2, succeededCount: 1}]}, "+jobTemplate("Never", "[ $JOB_COMPLETION_INDEX -eq 2 ] || sleep 1000"))
	s.shows("True", "job/j", complete)
	if got := s.kubectl("get", "job", "j", "-o", `jsonpath={.status.conditions[?(@.type=="SuccessCriteriaMet")].reason} {.status.completedIndexes}`); got != "SuccessPolicy 2" {
		t.Errorf("reason and completed indexes: %s", got)
	}
}

func TestJobCountsRestarts(t *testing.T) {
	s := documented(t, "[sig-apps] Job should count restarts in place for backoffLimit")
	s.job("j", "backoffLimit: 0, "+jobTemplate("OnFailure", "exit 1"))
	if got := s.failure("j"); got != "BackoffLimitExceeded" {
		t.Errorf("the Job failed because of %s", got)
	}
	s.eventually("no pod to run", func() (any, bool) {
		phases := s.readAll("pods", metav1.ListOptions{LabelSelector: jobPods}, ".items[*].status.phase")
		return phases, strings.Trim(phases, "Faled ") == ""
	})
}

func TestFinishedJobGoes(t *testing.T) {
	s := documented(t, "[sig-apps] Job should go ttlSecondsAfterFinished after its end")
	s.job("j", "ttlSecondsAfterFinished: 1, "+jobTemplate("Never", "true"))
	s.hasNone("jobs", "app=j")
	s.hasNone("pods", jobPods)

	s.job("j", jobTemplate("Never", "true"))
	s.shows("True", "job/j", complete)
	s.kubectl("patch", "job", "j", "-p", `{"spec":{"ttlSecondsAfterFinished":1}}`)
	s.hasNone("jobs", "app=j")
}

// TestJobPodsAreCounted: a pod that the Job has counted bears its finalizer no more, and can go.
func TestJobPodsAreCounted(t *testing.T) {
	s := documented(t, "[sig-apps] Job should count each pod once and take its finalizer away")
	s.job("j", "completions: 2, parallelism: 1, "+jobTemplate("Never", "true"))
	s.shows("True", "job/j", complete)
	if got := s.read("job/j", ".status.uncountedTerminatedPods.succeeded"); got != "" {
		t.Errorf("a finished Job has not counted %s", got)
	}
	if got := s.kubectl("get", "pods", "-l", jobPods, "-o", "jsonpath={.items[*].metadata.finalizers}"); got != "" {
		t.Errorf("the finished pods have the finalizers %s", got)
	}
	s.kubectl("delete", "pods", "-l", jobPods)
	s.steady("a finished Job", func() (any, bool) {
		pods := s.names("pods", jobPods)
		return pods, len(pods) == 0 && s.read("job/j", ".status.succeeded") == "2"
	})
}
