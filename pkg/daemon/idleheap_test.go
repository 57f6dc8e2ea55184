package daemon

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsReleasedWhenItIsWorthIt(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		last, now heap
		want      bool
	}{
		"a small daemon":                       {heap{}, heap{live: 40 * mb, spare: 60 * mb}, false},
		"a load is over":                       {heap{allocated: 9000 * mb}, heap{allocated: 9010 * mb, live: 500 * mb, spare: 600 * mb}, true},
		"a load goes on":                       {heap{allocated: 9000 * mb}, heap{allocated: 9900 * mb, live: 500 * mb, spare: 600 * mb}, false},
		"a large heap with little to get back": {heap{}, heap{live: 1000 * mb, spare: 200 * mb}, false},
	} {
		if got := worthReleasing(c.last, c.now); got != c.want {
			t.Errorf("%s: got %v, expected %v", name, got, c.want)
		}
	}
}

// TestAHeapIsReleasedAfterItsLoad makes garbage and looks at what the system has not got back.
func TestAHeapIsReleasedAfterItsLoad(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage stays
	synctest.Test(t, func(t *testing.T) {
		garbage := make([][]byte, 256)
		for i := range garbage {
			garbage[i] = make([]byte, 1<<20)
		}
		runtime.KeepAlive(garbage)
		if before := readHeap(); before.spare < 200<<20 {
			t.Fatalf("%d bytes to give back, expected those of the garbage", before.spare)
		}
		ctx := t.Context()
		go releaseWhenQuiet(ctx)
		time.Sleep(3 * quietFor) // of the bubble's clock
		if after := readHeap(); after.spare > fewBytes {
			t.Errorf("%d bytes were not given back", after.spare)
		}
	})
}
