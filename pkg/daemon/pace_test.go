package daemon

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		last, now heap
		want      int
	}{
		"the first second":            {heap{}, heap{allocated: 30 * mb}, 300},
		"quiet":                       {heap{allocated: 900 * mb}, heap{allocated: 905 * mb, live: 40 * mb}, 100},
		"busy and small":              {heap{allocated: 900 * mb}, heap{allocated: 1300 * mb, live: 40 * mb}, 300},
		"busy, a little larger":       {heap{allocated: 900 * mb}, heap{allocated: 1300 * mb, live: 41 * mb}, 300},
		"busy and large":              {heap{allocated: 900 * mb}, heap{allocated: 1300 * mb, live: 400 * mb}, 100},
		"as much, for a large one":    {heap{allocated: 900 * mb}, heap{allocated: 990 * mb, live: 400 * mb}, 100},
		"a collection in two seconds": {heap{allocated: 900 * mb}, heap{allocated: 920 * mb, live: 40 * mb}, 100},
	} {
		if got := pace(c.last, c.now, ControlPlaneBurst); got != c.want {
			t.Errorf("%s: %d %%, expected %d", name, got, c.want)
		}
	}
}

// TestALoadIsCollectedLessOften puts a load on the process, and takes it off.
func TestALoadIsCollectedLessOften(t *testing.T) {
	t.Setenv("GOGC", "")
	percent := func() int {
		p := debug.SetGCPercent(usualPercent)
		debug.SetGCPercent(p)
		return p
	}
	defer debug.SetGCPercent(percent())
	synctest.Test(t, func(t *testing.T) {
		runtime.GC()
		go paceCollector(t.Context(), ControlPlaneBurst)
		time.Sleep(paceEvery / 2) // of the bubble's clock
		var load []byte
		for range 256 {
			load = make([]byte, 1<<20)
		}
		runtime.GC() // what is made while a collection goes on counts as alive until the next
		time.Sleep(paceEvery)
		if p := percent(); p <= usualPercent {
			t.Errorf("under load: %d %%", p)
		}
		runtime.KeepAlive(load)
		time.Sleep(2 * paceEvery)
		if p := percent(); p != usualPercent {
			t.Errorf("after it: %d %%", p)
		}
	})
}
