package faults

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pilotis.dev/test/chaos/memapi"
)

// Mode says how processes end.
type Mode int

const (
	// Random faults of all sorts, crashes among them.
	Random Mode = iota
	// Storm ends the process before and after each write in turn: of three tries of a write the first is not carried out, the
	// second is and nobody learns of it, the third is left alone.
	Storm
	// Frozen: nothing goes wrong but that the informers see nothing of the kinds in Plan.Frozen.
	Frozen
	// None: nothing goes wrong.
	None
)

// maxCrashes bounds how often the process of one run ends: a status that is written every second would end it every second.
const maxCrashes = 60

// Plan is what goes wrong in one run.
type Plan struct {
	Seed  uint64
	Mode  Mode
	Start time.Time
	// Until is when the faults end.
	Until time.Time
	// OldServer: the server does not stream lists, so that informers list first, from its watch cache.
	OldServer bool
	// Frozen, if set, are kinds ("pods") of which the informers see nothing from Start to Until, besides what else happens.
	Frozen []string

	mu      sync.Mutex
	counts  map[string]int
	windows map[string][]window
	crashes int
	trace   []string
}

// window is a time in which a kind's watches show nothing.
type window struct{ start, end time.Time }

// New returns a plan for the time from now on.
func New(seed uint64, mode Mode, lasting time.Duration) *Plan {
	now := time.Now()
	p := &Plan{Seed: seed, Mode: mode, Start: now, Until: now.Add(lasting), counts: map[string]int{}, windows: map[string][]window{}}
	p.OldServer = mode != None && mode != Frozen && p.draw("old server")(2) == 0
	return p
}

// draw returns dice for one decision.
func (p *Plan) draw(what string) func(sides int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	return rand.New(rand.NewPCG(p.Seed, h.Sum64())).IntN
}

// again counts what happens under one name.
func (p *Plan) again(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[what]++
	return p.counts[what] - 1
}

func (p *Plan) active() bool { return p.Mode != None && time.Now().Before(p.Until) }

func (p *Plan) tell(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trace = append(p.trace, fmt.Sprintf("%9.3fs  ", time.Since(p.Start).Seconds())+fmt.Sprintf(format, args...))
}

// Trace returns what went wrong so far, a line each.
func (p *Plan) Trace() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.trace)
}

// Crashes returns how often the process has ended.
func (p *Plan) Crashes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashes
}

func (p *Plan) crash() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := maxCrashes
	if lasting := p.Until.Sub(p.Start); lasting > time.Hour {
		// Spread over the whole time: the first minutes of hours would have them all.
		most = 1 + int(maxCrashes*time.Since(p.Start)/lasting)
	}
	if p.crashes >= most {
		return false
	}
	p.crashes++
	return true
}

// freezes are the windows of a kind.
func (p *Plan) freezes(resource string) []window {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.windows[resource]; ok {
		return have
	}
	var out []window
	if p.Mode == Random {
		dice := p.draw("freeze " + resource)
		lasting := int(p.Until.Sub(p.Start) / time.Second)
		for range dice(4) {
			start := p.Start.Add(time.Duration(dice(lasting)) * time.Second)
			end := start.Add([]time.Duration{3 * time.Second, 20 * time.Second, time.Minute, 2 * time.Minute}[dice(4)])
			out = append(out, window{start, end})
		}
	}
	if slices.Contains(p.Frozen, resource) {
		out = append(out, window{p.Start, p.Until})
	}
	slices.SortFunc(out, func(a, b window) int { return cmp.Or(a.start.Compare(b.start), a.end.Compare(b.end)) })
	p.windows[resource] = out
	return out
}

// VisibleAt implements memapi.View.
func (p *Plan) VisibleAt(k memapi.Kind, committed time.Time) time.Time {
	if p.Mode == None || !committed.Before(p.Until) {
		return committed
	}
	at := committed.Add([]time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}[p.draw("delay "+k.Resource)(4)])
	for _, w := range p.freezes(k.Resource) {
		if !at.Before(w.start) && at.Before(w.end) {
			at = w.end
		}
	}
	if at.After(p.Until) {
		return p.Until
	}
	return at
}
