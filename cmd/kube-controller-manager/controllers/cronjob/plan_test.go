package cronjob

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func cronJob(schedule string, edit func(*batchv1.CronJobSpec)) *batchv1.CronJob {
	cj := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c", UID: "c", CreationTimestamp: metav1.NewTime(at("2026-01-01T00:00:30Z"))}}
	cj.Spec.Schedule, cj.Spec.ConcurrencyPolicy = schedule, batchv1.AllowConcurrent
	cj.Spec.SuccessfulJobsHistoryLimit, cj.Spec.FailedJobsHistoryLimit = ptr.To[int32](3), ptr.To[int32](1)
	if edit != nil {
		edit(&cj.Spec)
	}
	return cj
}

func jobOf(cj *batchv1.CronJob, name string, outcome batchv1.JobConditionType, started string) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	j.Status.StartTime = ptr.To(metav1.NewTime(at(started)))
	if outcome != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: outcome, Status: v1.ConditionTrue}}
		j.Status.CompletionTime = j.Status.StartTime
	} else {
		cj.Status.Active = append(cj.Status.Active, refTo(j))
	}
	return j
}

// stamped says that a Job was started for 00:10.
func stamped(j *batchv1.Job) *batchv1.Job {
	j.Annotations = map[string]string{batchv1.CronJobScheduledTimestampAnnotation: "2026-01-01T09:10:00+09:00"}
	return j
}

// A Job that was started while the status was not written is not forgotten by who suspends the CronJob then.
func TestAStartIsRemembered(t *testing.T) {
	cj := cronJob("*/5 * * * *", func(s *batchv1.CronJobSpec) { s.Suspend = ptr.To(true) })
	plan := Decide(Input{CronJob: cj, Jobs: []*batchv1.Job{stamped(jobOf(cj, "c-29453770", "", "2026-01-01T00:10:02Z"))}, Now: at("2026-01-01T00:10:02Z")})
	if last := plan.Status.LastScheduleTime; last == nil || !last.Time.Equal(at("2026-01-01T00:10:00Z")) {
		t.Errorf("status.lastScheduleTime: %v", last)
	}
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		schedule, zone, from, now, want string
		missed                          int
	}{
		{"*/5 * * * *", "", "2026-01-01T00:00:30Z", "2026-01-01T00:04:59Z", "", 0},
		{"*/5 * * * *", "", "2026-01-01T00:00:30Z", "2026-01-01T00:05:00Z", "2026-01-01T00:05:00Z", 1},
		{"*/5 * * * *", "", "2026-01-01T00:00:30Z", "2026-01-01T00:17:00Z", "2026-01-01T00:15:00Z", 3},
		{"* * * * *", "", "2025-01-01T00:00:30Z", "2026-01-01T00:17:10Z", "2026-01-01T00:17:00Z", 101},
		{"0 9-17 * * 1-5", "", "2025-01-01T00:00:00Z", "2026-01-04T12:00:00Z", "2026-01-02T17:00:00Z", 101}, // a Sunday
		{"0 0 29 2 *", "", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2024-02-29T00:00:00Z", 2},
		{"@hourly", "", "2026-01-01T00:00:30Z", "2026-01-01T03:30:00Z", "2026-01-01T03:00:00Z", 3},
		{"0 8 * * *", "America/New_York", "2026-01-01T00:00:00Z", "2026-01-01T13:00:00Z", "2026-01-01T13:00:00Z", 1},
	} {
		cj := cronJob(c.schedule, func(s *batchv1.CronJobSpec) {
			if c.zone != "" {
				s.TimeZone = &c.zone
			}
		})
		schedule, err := parse(cj)
		if err != nil {
			t.Fatal(err)
		}
		latest, missed, err := due(schedule, at(c.from), at(c.now))
		got := ""
		if !latest.IsZero() {
			got = latest.UTC().Format(time.RFC3339)
		}
		if err != nil || got != c.want || missed != c.missed {
			t.Errorf("%s from %s at %s: %q, %d missed, error %v; want %q, %d", c.schedule, c.from, c.now, got, missed, err, c.want, c.missed)
		}
	}
	never, _ := parse(cronJob("0 0 31 2 *", nil))
	if _, _, err := due(never, at("2026-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z")); err == nil {
		t.Error("31 February comes true")
	}
}

func TestDecide(t *testing.T) {
	const now = "2026-01-01T00:10:02Z"
	running := func(cj *batchv1.CronJob) []*batchv1.Job {
		return []*batchv1.Job{jobOf(cj, "old", "", "2026-01-01T00:05:00Z")}
	}
	for _, c := range []struct {
		why  string
		cj   *batchv1.CronJob
		jobs func(*batchv1.CronJob) []*batchv1.Job
		want string
	}{
		{"due", cronJob("*/5 * * * *", nil), nil, "create c-29453770\n"},
		{"suspended", cronJob("*/5 * * * *", func(s *batchv1.CronJobSpec) { s.Suspend = ptr.To(true) }), nil, ""},
		{"allowed beside another", cronJob("*/5 * * * *", nil), running, "create c-29453770\n"},
		{"forbidden beside another", cronJob("*/5 * * * *", func(s *batchv1.CronJobSpec) { s.ConcurrencyPolicy = batchv1.ForbidConcurrent }), running,
			"event JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid\n"},
		{"replacing another", cronJob("*/5 * * * *", func(s *batchv1.CronJobSpec) { s.ConcurrencyPolicy = batchv1.ReplaceConcurrent }), running, "delete old\ncreate c-29453770\n"},
		{"too late", cronJob("0 * * * *", func(s *batchv1.CronJobSpec) { s.StartingDeadlineSeconds = ptr.To[int64](60) }), nil, ""},
		{"bad schedule", cronJob("whenever", nil), nil, "event UnparseableSchedule: unparseable schedule: \"whenever\" : expected exactly 5 fields, found 1: [whenever]\n"},
		{"unknown zone", cronJob("*/5 * * * *", func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("Mars/Base") }), nil, "event UnknownTimeZone: invalid timeZone: \"Mars/Base\": unknown time zone Mars/Base\n"},
		{"started, with the status lost", cronJob("*/5 * * * *", nil), func(cj *batchv1.CronJob) []*batchv1.Job {
			return []*batchv1.Job{stamped(jobOf(cj, "c-29453770", "", now))}
		}, ""},
		{"history", cronJob("0 0 1 1 *", nil), func(cj *batchv1.CronJob) []*batchv1.Job {
			var list []*batchv1.Job
			for _, n := range []string{"1", "2", "3", "4", "5"} {
				list = append(list, jobOf(cj, "s"+n, batchv1.JobComplete, "2026-01-01T00:0"+n+":00Z"), jobOf(cj, "f"+n, batchv1.JobFailed, "2026-01-01T00:0"+n+":00Z"))
			}
			return list
		}, "delete f1\ndelete f2\ndelete f3\ndelete f4\ndelete s1\ndelete s2\n"},
	} {
		in := Input{CronJob: c.cj, Now: at(now)}
		if c.jobs != nil {
			in.Jobs = c.jobs(c.cj)
		}
		if got := Decide(in).String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

// A Job that was made by hand from the CronJob is its own affair; one of our making that the status lacks is taken back.
func TestAJobMadeByHandIsLeftAlone(t *testing.T) {
	const unexpected = "event UnexpectedJob: Saw a job that the controller did not create or forgot: x\n"
	for _, c := range []struct {
		policy batchv1.ConcurrencyPolicy
		ours   bool
		want   string
	}{
		{batchv1.ReplaceConcurrent, false, "create c-29453770\n" + unexpected}, {batchv1.ForbidConcurrent, false, "create c-29453770\n" + unexpected},
		{batchv1.ReplaceConcurrent, true, "delete x\ncreate c-29453770\n" + unexpected},
	} {
		cj := cronJob("*/5 * * * *", func(s *batchv1.CronJobSpec) { s.ConcurrencyPolicy = c.policy })
		j := jobOf(cj, "x", "", "2026-01-01T00:06:00Z")
		cj.Status.Active = nil
		if c.ours {
			j.Annotations = map[string]string{batchv1.CronJobScheduledTimestampAnnotation: "2026-01-01T00:05:00Z"}
		}
		plan := Decide(Input{CronJob: cj, Jobs: []*batchv1.Job{j}, Now: at("2026-01-01T00:10:02Z")})
		if got := plan.String(); got != c.want || len(plan.Status.Active) != 0 {
			t.Errorf("%s, made by the CronJob %v: %q, active %v; want %q", c.policy, c.ours, got, plan.Status.Active, c.want)
		}
	}
}

func TestStatusFollowsTheJobs(t *testing.T) {
	cj := cronJob("0 0 1 1 *", nil)
	done, lost := jobOf(cj, "done", "", "2026-01-01T00:05:00Z"), jobOf(cj, "lost", "", "2026-01-01T00:05:00Z")
	_ = lost
	done.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: v1.ConditionTrue}}
	done.Status.CompletionTime = done.Status.StartTime
	plan := Decide(Input{CronJob: cj, Jobs: []*batchv1.Job{done}, Now: at("2026-01-01T00:10:00Z")})
	if len(plan.Status.Active) != 0 || !plan.Status.LastSuccessfulTime.Equal(done.Status.CompletionTime) {
		t.Errorf("status %+v", plan.Status)
	}
	if !strings.Contains(plan.String(), "SawCompletedJob") || !strings.Contains(plan.String(), "MissingJob") {
		t.Errorf("events %q", plan)
	}
	if plan.Wake <= 0 {
		t.Error("does not wake for the next time")
	}
}

func TestAJobCarriesItsTime(t *testing.T) {
	cj := cronJob("0 8 * * *", func(s *batchv1.CronJobSpec) {
		s.TimeZone = ptr.To("Asia/Tokyo")
		s.JobTemplate.Labels = map[string]string{"a": "b"}
	})
	j := newJob(cj, at("2026-01-01T23:00:00Z"))
	if j.Annotations[batchv1.CronJobScheduledTimestampAnnotation] != "2026-01-02T08:00:00+09:00" || j.Labels["a"] != "b" || !metav1.IsControlledBy(j, cj) {
		t.Errorf("job %+v", j.ObjectMeta)
	}
}

func FuzzDue(f *testing.F) {
	f.Add("*/7 3-5 * * 1,4", int64(1767225600), int64(90000))
	f.Fuzz(func(t *testing.T, text string, from, span int64) {
		schedule, err := parse(cronJob(text, nil))
		if err != nil || from < 0 || from > 4e9 || span < 0 || span > 4e8 {
			return
		}
		start := time.Unix(from, 0).UTC()
		now := start.Add(time.Duration(span) * time.Second)
		latest, _, err := due(schedule, start, now)
		if err != nil || latest.IsZero() {
			return
		}
		if latest.After(now) || !latest.After(start) {
			t.Fatalf("%q: %v is not between %v and %v", text, latest, start, now)
		}
		if next := schedule.Next(latest); !next.IsZero() && !next.After(now) {
			t.Fatalf("%q: %v is not the latest before %v, %v is later", text, latest, now, next)
		}
	})
}
