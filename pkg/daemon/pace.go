package daemon

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// ControlPlaneBurst is the Burst of the daemons that every object of a cluster passes through.
const ControlPlaneBurst = 128 << 20

const (
	paceEvery = time.Second
	// usualPercent is how much of what lives a quiet heap grows by until it is collected, the runtime's own rule.
	usualPercent = 100
	// startPercent is that of a start, which makes little that dies.
	startPercent = 300
	// percentStep is what a change of the pace is rounded to: each stops the daemon for some microseconds.
	percentStep = 50
)

// paceCollector lets the heap of a busy daemon grow by burst bytes in any case until it is collected, and returns when ctx
// ends: with some 40 MB alive the runtime's rule would have a load collect ten times a second, and spend a quarter of its
// CPU time on that. GOGC in the environment is left to rule alone.
func paceCollector(ctx context.Context, burst uint64) {
	if burst == 0 || os.Getenv("GOGC") != "" {
		return
	}
	percent := startPercent
	debug.SetGCPercent(percent)
	ticks := time.NewTicker(paceEvery)
	defer ticks.Stop()
	last := readHeap()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		now := readHeap()
		if next := pace(last, now, burst); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
		last = now
	}
}

// pace is the percentage by which the heap may grow, from what it did since last, paceEvery ago. A daemon is busy that
// would have to be collected every second or more often.
func pace(last, now heap, burst uint64) int {
	if now.live == 0 {
		return startPercent
	}
	if now.allocated-last.allocated < now.live {
		return usualPercent
	}
	percent := int(burst * 100 / now.live)
	return max(usualPercent, percent-percent%percentStep)
}
