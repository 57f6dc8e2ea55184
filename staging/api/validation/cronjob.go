package validation

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxCronJobName leaves room for the eleven characters that the name of each job adds.
const maxCronJobName = 63 - 11

func cronJobCreate(c *batchv1.CronJob) *faults {
	f := metadata(&c.ObjectMeta, namespaced, subdomainName)
	cronJobSpec(f, &c.Spec, &tolerated{}, nil)
	if len(c.Name) > maxCronJobName {
		f.invalid(field.NewPath("metadata"), "name", c.Name, "must be no more than 52 characters")
	}
	return f
}

func cronJobUpdate(c, old *batchv1.CronJob) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	cronJobSpec(f, &c.Spec, toleratedOf(&old.Spec.JobTemplate.Spec.Template.Spec), &old.Spec)
	return f
}

func cronJobSpec(f *faults, s *batchv1.CronJobSpec, tol *tolerated, old *batchv1.CronJobSpec) {
	p := field.NewPath("spec")
	if f.present(p, "schedule", s.Schedule) {
		cronSchedule(f, s, old, p)
	}
	if s.StartingDeadlineSeconds != nil {
		f.notNegative(p, "startingDeadlineSeconds", *s.StartingDeadlineSeconds)
	}
	if s.TimeZone != nil && (old == nil || !same(s.TimeZone, old.TimeZone)) {
		timeZone(f, *s.TimeZone, p)
	}
	requireOneOf(f, p, "concurrencyPolicy", s.ConcurrencyPolicy, batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)
	jobTemplate(f, &s.JobTemplate, tol, p.Child("jobTemplate"))
	f.notNegativePtr(p, "successfulJobsHistoryLimit", s.SuccessfulJobsHistoryLimit)
	f.notNegativePtr(p, "failedJobsHistoryLimit", s.FailedJobsHistoryLimit)
}

func cronSchedule(f *faults, s *batchv1.CronJobSpec, old *batchv1.CronJobSpec, p *field.Path) {
	if err := parseSchedule(s.Schedule); err != nil {
		f.invalid(p, "schedule", s.Schedule, err.Error())
	}
	if !strings.Contains(s.Schedule, "TZ") {
		return
	}
	if s.TimeZone != nil {
		f.invalid(p, "schedule", s.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
	} else if old == nil || old.Schedule != s.Schedule {
		f.invalid(p, "schedule", s.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
	}
}

// parseSchedule guards the parser, which panics at a time zone without a schedule behind it.
func parseSchedule(text string) error {
	if (strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=")) && !strings.Contains(text, " ") {
		return errors.New("a schedule must follow the time zone")
	}
	_, err := cron.ParseStandard(text)
	return err
}

func timeZone(f *faults, name string, p *field.Path) {
	switch {
	case name == "":
		f.invalid(p, "timeZone", name, "timeZone must be nil or non-empty string")
	case strings.EqualFold(name, "Local"):
		f.invalid(p, "timeZone", name, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
	default:
		if _, err := time.LoadLocation(name); err != nil {
			f.invalid(p, "timeZone", name, err.Error())
		}
	}
}

// jobTemplate checks what a cron job makes: the controller gives selector and labels.
func jobTemplate(f *faults, t *batchv1.JobTemplateSpec, tol *tolerated, p *field.Path) {
	spec := p.Child("spec")
	templateMetadata(f, &t.ObjectMeta, p.Child("metadata"))
	jobSpec(f, &t.Spec, tol, spec)
	if t.Spec.Selector != nil {
		f.invalid(spec, "selector", t.Spec.Selector, "`selector` will be auto-generated")
	}
	if t.Spec.ManualSelector != nil && *t.Spec.ManualSelector {
		f.add(field.NotSupported(spec.Child("manualSelector"), "true", []string{"nil", "false"}))
	}
}

func cronJobStatus(c, old *batchv1.CronJob) *faults {
	return metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
}
