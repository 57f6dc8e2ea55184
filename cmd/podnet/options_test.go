package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
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
	want := strings.Fields("cluster-cidr config-file kubeconfig masquerade node-name plugin-dir plugin-source")
	var have []string
	newOptions().flags().FlagSet("podnet").VisitAll(func(f *pflag.Flag) { have = append(have, f.Name) })
	if !slices.Equal(have, want) {
		t.Errorf("flags differ\nhave %v\nwant %v", have, want)
	}
}
