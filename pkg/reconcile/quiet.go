package reconcile

import (
	"time"

	"k8s.io/utils/clock"
)

// metricsPeriod is how often a queue brings workqueue_unfinished_work_seconds and
// workqueue_longest_running_processor_seconds up to date.
const metricsPeriod = 10 * time.Second

// quiet is a clock whose tickers do not tick more often than metricsPeriod. A work queue refreshes those two metrics
// twice a second, in every queue: some 80 wake-ups a second in a process that has nothing to do.
type quiet struct{ clock.WithTicker }

func (q quiet) NewTicker(d time.Duration) clock.Ticker {
	return q.WithTicker.NewTicker(max(d, metricsPeriod))
}
