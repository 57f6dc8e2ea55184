package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cronJob applies a CronJob that is due every minute; its Jobs run a shell command.
func (s *space) cronJob(policy, command string, suspend bool) {
	s.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec: {schedule: "* * * * *", suspend: %v, concurrencyPolicy: %s, jobTemplate: {metadata: {labels: {cron: c}}, spec: {%s}}}
`, suspend, policy, jobTemplate("OnFailure", command)))
}

// throughMinutes looks at the names of the Jobs until so many minutes have begun, and a little into the last one.
func (s *space) throughMinutes(minutes int, look func(jobs []string)) {
	s.Helper()
	end := time.Now().Truncate(time.Minute).Add(time.Duration(minutes)*time.Minute + 8*time.Second)
	for time.Now().Before(end) {
		look(s.names("jobs", "cron=c"))
		time.Sleep(time.Second) // the poll's interval
	}
}

func TestCronJobOperations(t *testing.T) {
	s := behaviour(t, "[sig-apps] CronJob should support CronJob API operations")
	s.supportsOperations(operations{resource: "cronjobs", subresources: []string{"status"}, manifest: `
apiVersion: batch/v1
kind: CronJob
spec: {schedule: "0 0 1 1 *", suspend: true, jobTemplate: {spec: {` + jobTemplate("Never", "true") + `}}}
`, status: `{"lastScheduleTime":"2026-01-01T00:00:00Z"}`})
}

func TestSuspendedCronJob(t *testing.T) {
	s := behaviour(t, "[sig-apps] CronJob should not schedule jobs when suspended [Slow]")
	s.cronJob("Allow", "sleep 300", true)
	s.throughMinutes(2, func(jobs []string) {
		if len(jobs) > 0 {
			t.Fatalf("a suspended CronJob made %v", jobs)
		}
	})
	if n := s.read("cronjob/c", ".status.active"); n != "" {
		t.Errorf("active: %s", n)
	}
}

func TestForbiddenConcurrency(t *testing.T) {
	s := behaviour(t, "[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow]")
	s.cronJob("Forbid", "sleep 300", false)
	most := 0
	s.throughMinutes(2, func(jobs []string) { most = max(most, len(jobs)) })
	if most != 1 {
		t.Errorf("%d Jobs at once, want 1", most)
	}
}

func TestReplacedConcurrency(t *testing.T) {
	s := behaviour(t, "[sig-apps] CronJob should replace jobs when ReplaceConcurrent")
	s.cronJob("Replace", "sleep 300", false)
	seen := map[string]bool{}
	s.throughMinutes(2, func(jobs []string) {
		for _, j := range jobs {
			seen[j] = true
		}
	})
	if len(seen) < 2 {
		t.Errorf("the Job was not replaced: %v", seen)
	}
	s.eventually("one active Job", func() (any, bool) {
		active := strings.Fields(s.read("cronjob/c", ".status.active[*].name"))
		return active, len(active) == 1
	})
}

func TestAllowedConcurrency(t *testing.T) {
	s := behaviour(t, "[sig-apps] CronJob should schedule multiple jobs concurrently")
	s.cronJob("Allow", "sleep 300", false)
	s.throughMinutes(2, func([]string) {})
	if active := strings.Fields(s.read("cronjob/c", ".status.active[*].name")); len(active) < 2 {
		t.Errorf("active Jobs after two minutes: %v", active)
	}
}

// TestCronJobTimeZone: a schedule is of its time zone (KEP-3140), here of one half a day away and an hour that is not now in UTC.
func TestCronJobTimeZone(t *testing.T) {
	s := documented(t, "[sig-apps] CronJob should follow the schedule of its time zone")
	due := time.Now().In(time.FixedZone("Pacific/Kiritimati", 14*60*60)).Truncate(time.Minute).Add(time.Minute)
	if time.Until(due) < 10*time.Second {
		due = due.Add(time.Minute) // the CronJob must be there in time
	}
	for name, field := range map[string]string{"zoned": "timeZone: Pacific/Kiritimati", "unzoned": "timeZone: Etc/UTC"} {
		s.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: %s}
spec: {schedule: "%d %d * * *", %s, jobTemplate: {metadata: {labels: {cron: %s}}, spec: {%s}}}
`, name, due.Minute(), due.Hour(), field, name, jobTemplate("Never", "true")))
	}
	s.eventually("the CronJob's time to come", func() (any, bool) {
		jobs := s.names("jobs", "cron=zoned")
		return jobs, len(jobs) == 1
	})
	if early := time.Until(due); early > 0 {
		t.Errorf("the Job came %v before its time", early)
	}
	if jobs := s.names("jobs", "cron=unzoned"); len(jobs) > 0 {
		t.Errorf("%v came at the hour of another zone", jobs)
	}
	stamp := s.kubectl("get", "jobs", "-l", "cron=zoned", "-o", `jsonpath={.items[0].metadata.annotations.batch\.kubernetes\.io/cronjob-scheduled-timestamp}`)
	if at, err := time.Parse(time.RFC3339, stamp); err != nil || !at.Equal(due) {
		t.Errorf("the Job says that it was due at %q, it was at %v (%v)", stamp, due, err)
	}
}

// TestStartingDeadline: a minute ago CronJobs were due that have not run since yesterday.
func TestStartingDeadline(t *testing.T) {
	s := documented(t, "[sig-apps] CronJob should start what was missed within startingDeadlineSeconds only")
	due := time.Now().UTC().Add(-2 * time.Minute).Truncate(time.Minute)
	for name, field := range map[string]string{"patient": "startingDeadlineSeconds: 3600", "strict": "startingDeadlineSeconds: 30", "open": ""} {
		s.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: %s}
spec: {schedule: "%d %d * * *", timeZone: Etc/UTC, suspend: true, jobTemplate: {metadata: {labels: {cron: %s}}, spec: {%s}}, %s}
`, name, due.Minute(), due.Hour(), name, jobTemplate("Never", "true"), field))
		s.kubectl("patch", "cronjob", name, "--subresource=status", "--type=merge", "-p", `{"status":{"lastScheduleTime":"`+due.Add(-24*time.Hour).Format(time.RFC3339)+`"}}`)
		s.kubectl("patch", "cronjob", name, "-p", `{"spec":{"suspend":false}}`)
	}
	for _, name := range []string{"patient", "open"} {
		s.eventually(name+" to make up for it", func() (any, bool) {
			stamps := s.readAll("jobs", metav1.ListOptions{LabelSelector: "cron=" + name}, `.items[*].metadata.annotations.batch\.kubernetes\.io/cronjob-scheduled-timestamp`)
			return stamps, stamps == due.Format(time.RFC3339)
		})
	}
	s.steady("a CronJob that came too late", func() (any, bool) {
		jobs := s.names("jobs", "cron=strict")
		return jobs, len(jobs) == 0
	})
}

// TestCronJobHistory: of finished Jobs, those begun by hand among them, the newest stay.
func TestCronJobHistory(t *testing.T) {
	s := documented(t, "[sig-apps] CronJob should keep the newest succeeded and failed Jobs of its history limits")
	for name, command := range map[string]string{"good": "true", "bad": "false"} {
		s.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: %s}
spec: {schedule: "0 0 1 1 *", suspend: true, successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1, jobTemplate: {metadata: {labels: {cron: %s}}, spec: {backoffLimit: 0, %s}}}
`, name, name, jobTemplate("Never", command)))
	}
	for _, which := range []string{"first", "second"} {
		for name, end := range map[string]string{"good": complete, "bad": failed} {
			s.kubectl("create", "job", name+"-"+which, "--from=cronjob/"+name)
			s.shows("True", "job/"+name+"-"+which, end)
		}
	}
	for _, name := range []string{"good", "bad"} {
		s.eventually("only the newer Job of "+name+" to stay", func() (any, bool) {
			jobs := s.names("jobs", "cron="+name)
			return jobs, len(jobs) == 1 && jobs[0] == name+"-second"
		})
	}
}
