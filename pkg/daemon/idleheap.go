package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// quietFor is how long a daemon must have been quiet before it gives memory back.
	quietFor = 5 * time.Second
	// fewBytes is what is not worth a collection.
	fewBytes = 64 << 20
)

// heap is what the runtime knows of its memory, in bytes.
type heap struct {
	allocated uint64 // in all, since the start
	live      uint64 // at the last collection
	spare     uint64 // garbage, and free pages that the system has not got back
}

// releaseWhenQuiet gives the system what the heap grew by under a load, once the load is over, until ctx ends. Without
// it, a heap that is collected when it has doubled stays at twice its size for as long as the daemon runs.
func releaseWhenQuiet(ctx context.Context) {
	ticks := time.NewTicker(quietFor)
	defer ticks.Stop()
	last := readHeap()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		now := readHeap()
		if worthReleasing(last, now) {
			debug.FreeOSMemory()
			now = readHeap()
		}
		last = now
	}
}

// worthReleasing weighs what the system would get back against a collection of all that lives and the page faults
// of a heap that grows again: a daemon that allocates is not asked for its memory.
func worthReleasing(last, now heap) bool {
	return now.spare > max(fewBytes, now.live/4) && now.allocated-last.allocated < now.spare/16
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	h := heap{allocated: samples[0].Value.Uint64(), live: samples[1].Value.Uint64(), spare: samples[3].Value.Uint64()}
	if objects := samples[2].Value.Uint64(); objects > h.live {
		h.spare += objects - h.live
	}
	return h
}
