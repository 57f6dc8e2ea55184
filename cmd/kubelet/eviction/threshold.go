// Package eviction ends pods before the node runs out of memory, disk or processes (documentation of node-pressure
// eviction).
package eviction

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"pilotis.dev/api/quantities"
)

// Signal is something that runs out.
type Signal string

// The signals.
const (
	Memory      Signal = "memory.available"
	NodeFS      Signal = "nodefs.available"
	NodeInodes  Signal = "nodefs.inodesFree"
	ImageFS     Signal = "imagefs.available"
	ImageInodes Signal = "imagefs.inodesFree"
	PIDs        Signal = "pid.available"
)

// Resource is what pods use of it, as users know it.
func (s Signal) Resource() v1.ResourceName {
	switch s {
	case Memory:
		return v1.ResourceMemory
	case PIDs:
		return "pids"
	case NodeInodes, ImageInodes:
		return "inodes"
	}
	return v1.ResourceEphemeralStorage
}

// Condition is the node's condition while it is short.
func (s Signal) Condition() v1.NodeConditionType {
	switch s {
	case Memory:
		return v1.NodeMemoryPressure
	case PIDs:
		return v1.NodePIDPressure
	}
	return v1.NodeDiskPressure
}

// Amount is a quantity, or a part of the capacity.
type Amount struct {
	Quantity uint64
	Percent  float64 // of the capacity, when Quantity is 0
}

// Of is the amount in units of the signal.
func (a Amount) Of(capacity uint64) uint64 {
	if a.Percent > 0 {
		return uint64(float64(capacity) * a.Percent / 100)
	}
	return a.Quantity
}

// Threshold is a level that a signal must not fall below.
type Threshold struct {
	Signal  Signal
	Least   Amount
	Grace   time.Duration // how long it may be below; 0 for hard ones
	Soft    bool
	Reclaim Amount // freed beyond the level, once below
}

// Thresholds reads a validated configuration: hard ones first, each in the order of their signals.
func Thresholds(c *kubeletconfig.KubeletConfiguration) ([]Threshold, error) {
	var out []Threshold
	for _, list := range []struct {
		levels map[string]string
		soft   bool
	}{{c.EvictionHard, false}, {c.EvictionSoft, true}} {
		names := make([]string, 0, len(list.levels))
		for name := range list.levels {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			t := Threshold{Signal: Signal(name), Soft: list.soft}
			var err error
			if t.Least, err = parse(list.levels[name]); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if t.Least == (Amount{}) || t.Least.Percent >= 100 {
				continue // switched off
			}
			if text, ok := c.EvictionMinimumReclaim[name]; ok {
				if t.Reclaim, err = parse(text); err != nil {
					return nil, fmt.Errorf("evictionMinimumReclaim %s: %w", name, err)
				}
			}
			if list.soft {
				if t.Grace, err = time.ParseDuration(c.EvictionSoftGracePeriod[name]); err != nil {
					return nil, fmt.Errorf("evictionSoftGracePeriod %s: %w", name, err)
				}
			}
			out = append(out, t)
		}
	}
	return out, nil
}

func parse(text string) (Amount, error) {
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		return Amount{Percent: p}, err
	}
	q, err := quantities.Parse(text)
	return Amount{Quantity: uint64(max(q.Value(), 0))}, err // not negative
}

// Level is how much of a signal there is.
type Level struct{ Available, Capacity uint64 }

// Tracker remembers since when each threshold is crossed, and which were.
type Tracker struct {
	since   map[Threshold]time.Time
	crossed map[Threshold]bool
}

// Crossed gives the thresholds that call for action now, hard ones first: crossed for their grace period, or crossed
// before and not yet freed to their minimum reclaim.
func (t *Tracker) Crossed(thresholds []Threshold, levels map[Signal]Level, now time.Time) []Threshold {
	if t.since == nil {
		t.since, t.crossed = map[Threshold]time.Time{}, map[Threshold]bool{}
	}
	var out []Threshold
	for _, th := range thresholds {
		level, known := levels[th.Signal]
		if !known {
			continue
		}
		least := th.Least.Of(level.Capacity)
		if t.crossed[th] {
			least += th.Reclaim.Of(level.Capacity)
		}
		if level.Available >= least {
			delete(t.since, th)
			delete(t.crossed, th)
			continue
		}
		if _, begun := t.since[th]; !begun {
			t.since[th] = now
		}
		if now.Sub(t.since[th]) >= th.Grace {
			t.crossed[th] = true
			out = append(out, th)
		}
	}
	return out
}
