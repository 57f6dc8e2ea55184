package server

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// TestTimersOfWatchCachesEndTogether: many timers that are reset as those of watch caches are wake the process once a second.
func TestTimersOfWatchCachesEndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timers = 60
		woken := make(chan time.Time, timers*20)
		for i := range timers {
			go func() {
				time.Sleep(time.Duration(i) * 37 * time.Millisecond)
				timer := wholeSeconds{}.NewTimer(wait.Jitter(time.Second, 0.25))
				for range 10 {
					<-timer.C()
					woken <- time.Now()
					timer.Reset(wait.Jitter(time.Second, 0.25))
				}
				timer.Stop()
			}()
		}
		began := time.Now()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		moments := map[time.Time]int{}
		for range len(woken) {
			moments[<-woken]++
		}
		if seconds := int(time.Since(began).Seconds()); len(moments) > seconds {
			t.Errorf("%d timers woke the process %d times in %d seconds", timers, len(moments), seconds)
		}
	})
}

func TestShortTimersOfWatchCachesAreKept(t *testing.T) {
	now := time.Unix(100, 300_000_000)
	for d, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond:  100 * time.Millisecond,
		time.Second:             700 * time.Millisecond,
		1700 * time.Millisecond: 1700 * time.Millisecond,
		time.Minute:             59700 * time.Millisecond,
	} {
		if got := early(now, d); got != want {
			t.Errorf("%v is cut to %v, expected %v", d, got, want)
		}
	}
}
