package eviction

import (
	"context"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
)

func candidate(name string, priority int32, request string, used uint64) Candidate {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1.PodSpec{Priority: &priority, TerminationGracePeriodSeconds: ptr.To[int64](30), Containers: []v1.Container{{Name: "c"}}}}
	if request != "" {
		p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceMemory: resource.MustParse(request)}
	}
	return Candidate{Pod: p, Usage: Usage{Memory: used}}
}

func TestRank(t *testing.T) {
	ranked := Rank(v1.ResourceMemory, []Candidate{
		candidate("within", -10, "100", 50), candidate("over-important", 10, "100", 500), candidate("over-little", 0, "100", 110), candidate("over-much", 0, "100", 300), candidate("unlimited", 0, "", 150),
	})
	var names []string
	for _, c := range ranked {
		names = append(names, c.Pod.Name)
	}
	if got, want := strings.Join(names, " "), "over-much unlimited over-little over-important within"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestThresholdsAndGrace(t *testing.T) {
	thresholds, err := Thresholds(&kubeletconfig.KubeletConfiguration{
		EvictionHard: map[string]string{"memory.available": "10%", "nodefs.available": "0%"}, EvictionSoft: map[string]string{"memory.available": "300"},
		EvictionSoftGracePeriod: map[string]string{"memory.available": "30s"}, EvictionMinimumReclaim: map[string]string{"memory.available": "100"},
	})
	if err != nil || len(thresholds) != 2 {
		t.Fatalf("thresholds %v, error %v; want two: 0%% switches one off", thresholds, err)
	}
	var tracker Tracker
	start := time.Unix(0, 0)
	for _, step := range []struct {
		after     time.Duration
		available uint64
		want      int
	}{
		{0, 400, 0}, {time.Second, 250, 0}, {20 * time.Second, 250, 0}, {31 * time.Second, 250, 1}, // soft, after its grace period
		{32 * time.Second, 90, 2},  // hard at once
		{33 * time.Second, 150, 2}, // both until 100 more are free
		{34 * time.Second, 350, 1}, {35 * time.Second, 400, 0}, {36 * time.Second, 250, 0},
	} {
		if got := tracker.Crossed(thresholds, map[Signal]Level{Memory: {step.available, 1000}}, start.Add(step.after)); len(got) != step.want {
			t.Errorf("after %v with %d available %d thresholds call for action, want %d", step.after, step.available, len(got), step.want)
		}
	}
}

func TestLook(t *testing.T) {
	critical := candidate("critical", systemCritical, "", 900)
	low, reclaimed := true, 0
	var ended []string
	m := New(Config{
		Thresholds: []Threshold{{Signal: Memory, Least: Amount{Quantity: 100}}, {Signal: NodeFS, Least: Amount{Percent: 10}}}, Settle: time.Minute,
		Levels: func() map[Signal]Level {
			if low {
				return map[Signal]Level{Memory: {50, 1000}, NodeFS: {500, 1000}}
			}
			return map[Signal]Level{Memory: {500, 1000}, NodeFS: {50 + uint64(reclaimed), 1000}}
		},
		Candidates: func(context.Context) ([]Candidate, error) {
			return []Candidate{critical, candidate("small", 0, "", 10), candidate("big", 0, "", 300)}, nil
		},
		Reclaim: func(context.Context) error { reclaimed = 100; return nil },
		End:     func(uid types.UID, _ string, _ time.Duration) { ended = append(ended, string(uid)) },
	})
	now := time.Unix(0, 0)
	if err := m.Look(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if len(ended) != 1 || ended[0] != "big" {
		t.Errorf("ended %v, want the biggest that is not critical, and it alone", ended)
	}
	if m.Refuses(candidate("new", 0, "", 0).Pod) == "" || m.Refuses(candidate("new", 0, "10", 0).Pod) != "" || m.Refuses(critical.Pod) != "" {
		t.Error("under memory pressure best-effort pods alone are refused, critical ones never")
	}
	low = false
	if err := m.Look(t.Context(), now.Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if len(ended) != 1 || reclaimed == 0 {
		t.Errorf("ended %v: unused images made room, no pod had to go", ended)
	}
	if err := m.Look(t.Context(), now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r := m.Refuses(candidate("new", 0, "", 0).Pod); r != "" {
		t.Errorf("refused with %q after the pressure settled", r)
	}
}
