package conformance

import (
	"strings"
	"testing"
)

func TestJobSuspended(t *testing.T) {
	s := documented(t)
	s.job("j", "suspend: true, parallelism: 2, completions: 2, "+jobTemplate("Never", "sleep 1000"))
	const suspended = `.status.conditions[?(@.type=="Suspended")].status`
	s.shows("True", "job/j", suspended)
	if pods := s.names("pods", jobPods); len(pods) > 0 || s.read("job/j", ".status.startTime") != "" {
		t.Errorf("a suspended Job has the pods %v", pods)
	}
	s.kubectl("patch", "job", "j", "-p", `{"spec":{"suspend":false,"template":{"metadata":{"labels":{"queue":"admitted"}}}}}`) // a queue may say so while the Job is suspended (KEP-2926, KEP-5440)
	s.shows("2", "job/j", ".status.ready")
	s.shows("False", "job/j", suspended)
	if pods := s.names("pods", jobPods+",queue=admitted"); len(pods) != 2 || s.read("job/j", ".status.startTime") == "" {
		t.Errorf("the resumed Job has the pods %v", pods)
	}
	s.kubectl("patch", "job", "j", "-p", `{"spec":{"suspend":true}}`)
	s.shows("True", "job/j", suspended)
	s.hasNone("pods", jobPods)
	s.shows("", "job/j", ".status.startTime")
	s.kubectl("patch", "job", "j", "-p", `{"spec":{"suspend":false,"template":{"spec":{"nodeSelector":{"kubernetes.io/os":"linux"}}}}}`)
	s.shows("2", "job/j", ".status.ready")
}

// TestElasticJob: an Indexed Job grows and shrinks, the highest indexes first.
func TestElasticJob(t *testing.T) {
	s := documented(t)
	s.job("j", "parallelism: 2, completions: 2, completionMode: Indexed, "+jobTemplate("Never", "sleep 1000"))
	resize := func(size, indexes string) {
		t.Helper()
		s.kubectl("patch", "job", "j", "-p", `{"spec":{"parallelism":`+size+`,"completions":`+size+`}}`)
		s.eventually("pods of the indexes "+indexes, func() (any, bool) {
			got := strings.Fields(s.kubectl("get", "pods", "-l", jobPods, "--sort-by=.metadata.labels.batch\\.kubernetes\\.io/job-completion-index", "-o", `jsonpath={.items[*].metadata.labels.batch\.kubernetes\.io/job-completion-index}`))
			return got, strings.Join(got, " ") == indexes
		})
	}
	s.shows("2", "job/j", ".status.ready")
	resize("3", "0 1 2")
	resize("1", "0")
}

// TestJobOfAnotherController is left alone (KEP-4368).
func TestJobOfAnotherController(t *testing.T) {
	s := documented(t)
	s.job("j", "managedBy: tests.pilotis.dev/queue, "+jobTemplate("Never", "true"))
	s.job("ours", jobTemplate("Never", "true"))
	s.shows("True", "job/ours", complete)
	if pods, status := s.names("pods", jobPods), s.read("job/j", ".status"); len(pods) > 0 || status != "{}" {
		t.Errorf("the Job of another controller has the pods %v and the status %s", pods, status)
	}
}

// TestJobReplacesTheFailedOnly: with podReplacementPolicy Failed a pod that terminates holds its place to the end (KEP-3939).
func TestJobReplacesTheFailedOnly(t *testing.T) {
	s := documented(t)
	run := strings.Replace(jobTemplate("Never", "trap 'while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 1' TERM; sleep 1000 & wait"), "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 60", 1)
	s.job("j", "podReplacementPolicy: Failed, "+run)
	s.shows("1", "job/j", ".status.ready")
	first := s.names("pods", jobPods)[0]
	s.kubectl("delete", "pod", first, "--wait=false")
	s.shows("1", "job/j", ".status.terminating")
	s.steady("a Job that waits for its pod to end", func() (any, bool) {
		pods := s.names("pods", jobPods)
		return pods, len(pods) == 1 && pods[0] == first
	})
	s.inPodNamed(first, "touch /tmp/go")
	s.eventually("another pod in its place", func() (any, bool) {
		pods := s.names("pods", jobPods)
		return pods, len(pods) == 1 && pods[0] != first
	})
	s.kubectl("delete", "job", "j", "--wait=false")
}
