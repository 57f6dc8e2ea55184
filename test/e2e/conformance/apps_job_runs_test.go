package conformance

import (
	"strings"
	"testing"
)

func TestJobSuspended(t *testing.T) {
	s := documented(t, "[sig-apps] Job should have no pods while it is suspended and take changes of its template then")
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
	s := documented(t, "[sig-apps] Job should grow and shrink with completions and parallelism together")
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

func TestParallelismOfAJob(t *testing.T) {
	s := documented(t, "[sig-apps] Job should follow changes of parallelism")
	s.job("j", "completions: 9, parallelism: 1, "+jobTemplate("Never", "sleep 1000"))
	s.shows("1", "job/j", ".status.ready")
	for _, size := range []string{"3", "2", "0", "1"} {
		s.kubectl("patch", "job", "j", "-p", `{"spec":{"parallelism":`+size+`}}`)
		if size == "0" {
			s.hasNone("pods", jobPods)
			continue
		}
		s.shows(size+" "+size, "job/j", ".status['active','ready']")
	}
}

// letGo makes /tmp/go, for which the pod's container waits, in a second: its end must not take this command with it.
func (s *space) letGo(pod string) {
	s.Helper()
	s.inPodNamed(pod, "(sleep 1; touch /tmp/go) </dev/null >/dev/null 2>&1 &")
}

// TestWorkQueue: pods that share out the work among themselves; the first that succeeds has found none left.
func TestWorkQueue(t *testing.T) {
	s := documented(t, "[sig-apps] Job should end without completions when one pod succeeded and all ended")
	s.job("j", "parallelism: 2, "+jobTemplate("Never", "until [ -e /tmp/go ]; do sleep 0.1; done"))
	s.shows("2", "job/j", ".status.ready")
	pods := s.names("pods", jobPods)
	s.letGo(pods[0])
	s.shows("1 1", "job/j", ".status['active','succeeded']")
	s.steady("a Job that has begun to end", func() (any, bool) {
		now := s.names("pods", jobPods)
		return now, len(now) == 2 && s.read("job/j", complete) == ""
	})
	s.letGo(pods[1])
	s.shows("True", "job/j", complete)
	if got := s.read("job/j", ".status.succeeded"); got != "2" {
		t.Errorf("%s pods succeeded, want 2", got)
	}
}

// TestJobOfAnotherController is left alone (KEP-4368).
func TestJobOfAnotherController(t *testing.T) {
	s := documented(t, "[sig-apps] Job should be left alone when another controller manages it")
	s.job("j", "managedBy: tests.pilotis.dev/queue, "+jobTemplate("Never", "true"))
	s.job("ours", jobTemplate("Never", "true"))
	s.shows("True", "job/ours", complete)
	if pods, status := s.names("pods", jobPods), s.read("job/j", ".status"); len(pods) > 0 || status != "{}" {
		t.Errorf("the Job of another controller has the pods %v and the status %s", pods, status)
	}
}

// TestJobReplacesTheFailedOnly: with podReplacementPolicy Failed a pod that terminates holds its place to the end (KEP-3939).
func TestJobReplacesTheFailedOnly(t *testing.T) {
	s := documented(t, "[sig-apps] Job should replace a pod when it has failed with podReplacementPolicy Failed")
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
	s.letGo(first)
	s.eventually("another pod in its place", func() (any, bool) {
		pods := s.names("pods", jobPods)
		return pods, len(pods) == 1 && pods[0] != first
	})
	s.kubectl("delete", "job", "j", "--wait=false")
}
