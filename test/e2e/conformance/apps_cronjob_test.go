package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"
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
