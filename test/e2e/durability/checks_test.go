package durability

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What the test of this package is there for is seen when it happens.
func TestLossesAreSeen(t *testing.T) {
	for _, tt := range []struct {
		name    string
		unknown bool
		read    string
		want    porcupine.CheckResult
	}{
		{"an acknowledged write is read", false, "new", porcupine.Ok},
		{"an acknowledged write is lost", false, "old", porcupine.Illegal},
		{"a write without an answer took place", true, "new", porcupine.Ok},
		{"a write without an answer did not", true, "old", porcupine.Ok},
		{"a value that nobody wrote", false, "odd", porcupine.Illegal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{began: time.Now()}
			h.add(0, operation{write: true, value: "old"}, h.now(), result{})
			h.add(0, operation{write: true, value: "new"}, h.now(), result{unknown: tt.unknown})
			h.add(1, operation{}, h.now(), result{value: tt.read})
			if got := porcupine.CheckOperationsTimeout(register, h.decided(), time.Minute); got != tt.want {
				t.Errorf("the history is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMissedEventsAreSeen(t *testing.T) {
	w := &watcher{seen: map[uint64]bool{12: true}, gaps: [][2]uint64{{20, 30}}}
	for version, want := range map[uint64]bool{9: false, 10: false, 11: true, 12: false, 20: true, 21: false, 30: false, 31: true} {
		if got := w.missed(version, 10); got != want {
			t.Errorf("a write at %d: missed is %t, want %t", version, got, want)
		}
	}
}
