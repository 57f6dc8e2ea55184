package main

import (
	"strings"
	"testing"

	"pilotis.dev/pkg/daemon/daemontest"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*options)
		want   string // no fault: empty
	}{
		{"complete", func(*options) {}, ""},
		{"no node", func(o *options) { o.nodeName = "" }, "--node-name is missing"},
		{"no pods", func(o *options) { o.clusterCIDR = nil }, "--cluster-cidr is missing"},
		{"no masquerade, no pods", func(o *options) { o.clusterCIDR, o.masquerade = nil, false }, ""},
		{"no CIDR", func(o *options) { o.clusterCIDR = []string{"10.244.0.0"} }, "--cluster-cidr=10.244.0.0: "},
	} {
		o := newOptions()
		o.nodeName, o.clusterCIDR = "n", []string{"10.244.0.0/16"}
		tt.change(o)
		err := o.validate()
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestFlags(t *testing.T) {
	daemontest.CheckFlags(t, newOptions().flags(), "cluster-cidr config-file kubeconfig masquerade node-name plugin-dir plugin-source",
		"secure serving", "authentication", "authorization", "debugging")
}
