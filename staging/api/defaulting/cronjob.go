package defaulting

import (
	batchv1 "k8s.io/api/batch/v1"
)

// CronJob fills a cron job. The spec of its jobs is filled when they are made.
func CronJob(c *batchv1.CronJob) {
	s := &c.Spec
	value(&s.ConcurrencyPolicy, batchv1.AllowConcurrent)
	pointer(&s.Suspend, false)
	pointer(&s.SuccessfulJobsHistoryLimit, 3)
	pointer(&s.FailedJobsHistoryLimit, 1)
	jobTemplateParts(&s.JobTemplate.Spec)
}
