package main

import (
	"strings"
	"testing"
)

func TestAReportHasMediansBesideThoseOfTheOther(t *testing.T) {
	of := func(values ...float64) []*report {
		reports := make([]*report, len(values))
		for i, v := range values {
			reports[i] = &report{figures: []figure{{Name: "rate", Value: v, Unit: "/s", Goal: "≥ 3"}}}
		}
		return reports
	}
	if got := medians(of(9, 1, 2)).figures[0].Value; got != 2 {
		t.Errorf("median of three: %v, want 2", got)
	}
	if got := medians(of(4, 1)).figures[0].Value; got != 2.5 {
		t.Errorf("median of two: %v, want 2.5", got)
	}
	r := medians(of(30))
	if got, want := r.String(), "| rate | ≥ 3 | 30 /s |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("alone: %q, want it to end in %q", got, want)
	}
	r.compare(medians(of(20)))
	if got, want := r.String(), "| rate | ≥ 3 | 30 /s | 20 /s | 1.50 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("compared: %q, want it to end in %q", got, want)
	}
}
