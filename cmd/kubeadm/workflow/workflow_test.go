package workflow

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

type trace struct{ ran []string }

func note(name string) func(context.Context, *trace) error {
	return func(_ context.Context, t *trace) error { t.ran = append(t.ran, name); return nil }
}

func sample() Workflow[*trace] {
	return Workflow[*trace]{
		{Name: "preflight", Short: "Check", Run: note("preflight")},
		{Name: "certs", Short: "Certificates", Together: true, Phases: []Phase[*trace]{
			{Name: "ca", Short: "CA", Run: note("ca")},
			{Name: "etcd-ca", Aliases: []string{"eca"}, Short: "etcd CA", Run: note("etcd-ca")},
		}},
		{Name: "extra", Short: "Extra", Lone: true, Run: note("extra")},
	}
}

func TestRunSkips(t *testing.T) {
	for name, tc := range map[string]struct {
		skip []string
		want []string
	}{
		"nothing":        {nil, []string{"preflight", "ca", "etcd-ca"}},
		"a whole branch": {[]string{"certs"}, []string{"preflight"}},
		"one leaf":       {[]string{"certs/ca"}, []string{"preflight", "etcd-ca"}},
		"by alias":       {[]string{"certs/eca", "preflight"}, []string{"ca"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := &trace{}
			if err := sample().Run(t.Context(), got, tc.skip); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.ran, tc.want) {
				t.Errorf("ran %v, want %v", got.ran, tc.want)
			}
		})
	}
}

func TestUnknownSkipIsRefusedBeforeAnythingRuns(t *testing.T) {
	got := &trace{}
	err := sample().Run(t.Context(), got, []string{"cert"})
	if err == nil || !strings.Contains(err.Error(), "certs/ca") || len(got.ran) != 0 {
		t.Errorf("error %v after %v", err, got.ran)
	}
}

func TestFirstErrorEndsTheRunAndNamesItsPhase(t *testing.T) {
	w := sample()
	w[1].Phases[0].Run = func(context.Context, *trace) error { return errors.New("disk full") }
	got := &trace{}
	err := w.Run(t.Context(), got, nil)
	if err == nil || err.Error() != "phase certs/ca: disk full" || !slices.Equal(got.ran, []string{"preflight"}) {
		t.Errorf("error %v after %v", err, got.ran)
	}
}

func TestPhaseCommandRunsOneOrAll(t *testing.T) {
	for line, want := range map[string][]string{
		"phase preflight":     {"preflight"},
		"phase certs all":     {"ca", "etcd-ca"},
		"phase certs etcd-ca": {"etcd-ca"},
		"phase extra":         {"extra"},
	} {
		t.Run(line, func(t *testing.T) {
			got := &trace{}
			root := &cobra.Command{Use: "init"}
			root.AddCommand(sample().Command("init", func(*cobra.Command) {}, func(*cobra.Command, []string) (*trace, error) { return got, nil }))
			root.SetArgs(strings.Fields(line))
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.ran, want) {
				t.Errorf("ran %v, want %v", got.ran, want)
			}
		})
	}
}

func TestGroupPrintsHelp(t *testing.T) {
	var out bytes.Buffer
	cmd := sample().Command("init", func(*cobra.Command) {}, nil)
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"certs"})
	if err := cmd.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "etcd-ca") {
		t.Errorf("error %v, output %q", err, out.String())
	}
}
