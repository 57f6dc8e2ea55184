// Package cronjob starts a Job at each time of a CronJob's schedule.
package cronjob

import (
	"errors"
	"fmt"
	"strings"
	"time"

	// Time zones of spec.timeZone work on machines without a zone database.
	_ "time/tzdata"

	"github.com/robfig/cron/v3"

	batchv1 "k8s.io/api/batch/v1"
)

// manyMissed is the number of missed start times from which the user is warned.
const manyMissed = 100

// parse reads spec.schedule in spec.timeZone.
func parse(cj *batchv1.CronJob) (cron.Schedule, error) {
	schedule := cj.Spec.Schedule
	if cj.Spec.TimeZone != nil && !strings.Contains(schedule, "TZ") {
		schedule = fmt.Sprintf("TZ=%s %s", *cj.Spec.TimeZone, schedule)
	}
	return cron.ParseStandard(schedule)
}

// due returns the latest time of the schedule after from and not after now, and how many such times there are; the count stops
// above manyMissed. It returns the zero time when there is none.
func due(schedule cron.Schedule, from, now time.Time) (latest time.Time, missed int, err error) {
	first := schedule.Next(from)
	if first.IsZero() {
		return time.Time{}, 0, errors.New("the schedule never comes true")
	}
	if first.After(now) {
		return time.Time{}, 0, nil
	}
	second := schedule.Next(first)
	if !second.IsZero() && second.Sub(first) < time.Second {
		return time.Time{}, 0, errors.New("time difference between two schedules is less than 1 second")
	}
	for t := first; !t.IsZero() && !t.After(now) && missed <= manyMissed; t = schedule.Next(t) {
		latest = t
		missed++
	}
	if missed <= manyMissed {
		return latest, missed, nil
	}
	// Walk forward from a start that is found by stepping back from now in growing strides: schedules need not be regular.
	for stride := second.Sub(first); ; stride *= 2 {
		start := now.Add(-stride)
		if start.Before(latest) {
			start = latest
		}
		next := schedule.Next(start)
		if next.After(now) {
			if start.Equal(latest) {
				return latest, missed, nil
			}
			continue
		}
		for ; !next.After(now); next = schedule.Next(next) {
			latest = next
		}
		return latest, missed, nil
	}
}
