// Package daemontest helps to test the command lines of daemons.
package daemontest

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// CheckFlags compares the names of a daemon's flags, but for those of the sections named, with a sorted list of words.
func CheckFlags(t testing.TB, flags *cliflag.NamedFlagSets, want string, except ...string) {
	t.Helper()
	var have []string
	for section, fs := range flags.FlagSets {
		if !slices.Contains(except, section) {
			fs.VisitAll(func(f *pflag.Flag) { have = append(have, f.Name) })
		}
	}
	slices.Sort(have)
	words := strings.Fields(want)
	for _, name := range have {
		if !slices.Contains(words, name) {
			t.Errorf("--%s is not in the list", name)
		}
	}
	for _, name := range words {
		if !slices.Contains(have, name) {
			t.Errorf("--%s is missing", name)
		}
	}
}
