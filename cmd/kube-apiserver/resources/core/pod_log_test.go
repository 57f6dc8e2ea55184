package core

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestOneStreamOfALog(t *testing.T) {
	for name, c := range map[string]struct {
		options corev1.PodLogOptions
		gate    bool
		want    string
	}{
		"the gate is off":     {corev1.PodLogOptions{Stream: ptr.To("All")}, false, "stream: Forbidden: may not be specified"},
		"all":                 {corev1.PodLogOptions{Stream: ptr.To("All"), TailLines: ptr.To[int64](1)}, true, ""},
		"one":                 {corev1.PodLogOptions{Stream: ptr.To("Stderr")}, true, ""},
		"one, its last lines": {corev1.PodLogOptions{Stream: ptr.To("Stdout"), TailLines: ptr.To[int64](1)}, true, "[]: Forbidden: `tailLines` and specific `stream` are mutually exclusive for now"},
		"none that there is":  {corev1.PodLogOptions{Stream: ptr.To("Loud")}, true, `stream: Unsupported value: "Loud": supported values: "All", "Stdout", "Stderr"`},
	} {
		got := ""
		if err := logFaults(&c.options, c.gate).ToAggregate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
	}
}
