package app

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNoInformerBeginsWithAnOldCache(t *testing.T) {
	for name, tweak := range map[string]func(*metav1.ListOptions){"whole": Fresh, "narrowed": Narrow("a=b")} {
		o := metav1.ListOptions{ResourceVersion: "0"}
		if tweak(&o); o.ResourceVersion != "" {
			t.Errorf("%s: the first list is of version %q, any that a cache has", name, o.ResourceVersion)
		}
		o = metav1.ListOptions{ResourceVersion: "7"}
		if tweak(&o); o.ResourceVersion != "7" {
			t.Errorf("%s: a later list is not of version 7 or newer, but %q", name, o.ResourceVersion)
		}
	}
}
