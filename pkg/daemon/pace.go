package daemon

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

const (
	paceEvery = time.Second
	// usualPercent is how much of what lives a quiet heap grows by until it is collected, the runtime's own rule.
	usualPercent = 100
	// startPercent is that of a start, which makes little that dies.
	startPercent = 300
	// busyBytes is what a busy heap may grow by in any case.
	busyBytes = 128 << 20
	// percentStep is what a change of the pace is rounded to: each stops the daemon for some microseconds.
	percentStep = 50
)

// paceCollector has the heap of a busy daemon collected less often than that of a quiet one, until ctx ends: with some 40 MB
// alive, as most daemons have, the runtime's rule would have a load collect ten times a second, and spend a quarter of its
// CPU time on that. GOGC in the environment is left to rule alone.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
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
		if next := pace(last, now); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
		last = now
	}
}

// pace is the percentage by which the heap may grow, from what it did since last, paceEvery ago. A daemon is busy that
// would have to be collected every second or more often.
func pace(last, now heap) int {
	if now.live == 0 {
		return startPercent
	}
	if now.allocated-last.allocated < now.live {
		return usualPercent
	}
	percent := int(busyBytes * 100 / now.live)
	return max(usualPercent, percent-percent%percentStep)
}
