package resources

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/pkg/api"
)

// Every declaration names a resource once, and its type is known to the scheme as its group's.
func TestTableIsSound(t *testing.T) {
	types, err := api.NewTypes()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[schema.GroupResource]bool{}
	short := map[string]schema.GroupResource{}
	for _, d := range Table() {
		gr := d.GroupResource()
		if seen[gr] {
			t.Errorf("%s is declared twice", gr)
		}
		seen[gr] = true
		if gr.Resource != strings.ToLower(gr.Resource) {
			t.Errorf("%s is not in lower case", gr)
		}
		sample := d.Sample()
		kinds, _, err := types.Scheme.ObjectKinds(sample.Object)
		if err != nil {
			t.Errorf("%s: %v", gr, err)
			continue
		}
		if kinds[0].Group != gr.Group || kinds[0].Version == "__internal" {
			t.Errorf("%s: the first kind of its type is %s", gr, kinds[0])
		}
		for _, v := range d.ServedVersions() {
			if !types.Served.Recognizes(schema.GroupVersionKind{Group: gr.Group, Version: v, Kind: kinds[0].Kind}) {
				t.Errorf("%s: version %s has no kind %s", gr, v, kinds[0].Kind)
			}
		}
		if _, _, err := types.Scheme.ObjectKinds(sample.List); err != nil {
			t.Errorf("%s: %v", gr, err)
		}
		if sample.Singular == "" || sample.Columns == 0 && gr.Resource != "limitranges" {
			t.Errorf("%s: singular %q, %d columns", gr, sample.Singular, sample.Columns)
		}
		for _, s := range sample.ShortNames {
			if other, taken := short[s]; taken {
				t.Errorf("short name %s is of %s and %s", s, gr, other)
			}
			short[s] = gr
		}
	}
}
