// Package workflow runs a command as a list of named phases. A user may skip phases (--skip-phases), or run one of them alone
// (`kubeadm init phase certs ca`); both come from the same list, so the list is the command's documentation.
package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Phase is one step of a command over data of type D. A phase with Phases runs its own Run first, then its children.
type Phase[D any] struct {
	Name    string
	Aliases []string
	Short   string
	Long    string
	Run     func(ctx context.Context, data D) error
	Phases  []Phase[D]
	// Lone keeps a phase out of the whole command: it runs only when it is asked for by name.
	Lone bool
	// Together gives the parent an "all" child that runs every sibling.
	Together bool
}

// Workflow is a command's list of phases.
type Workflow[D any] []Phase[D]

// Run carries out every phase but those whose path ("certs" or "certs/ca") is skipped. The first error ends it and is prefixed by the
// path of its phase.
func (w Workflow[D]) Run(ctx context.Context, data D, skip []string) error {
	skipped := map[string]bool{}
	for _, path := range skip {
		if !w.knows(path) {
			return fmt.Errorf("--skip-phases: unknown phase %q: known are %s", path, strings.Join(w.Paths(), ", "))
		}
		skipped[w.canonical(path)] = true
	}
	for i := range w {
		if err := w[i].run(ctx, data, "", skipped, false); err != nil {
			return err
		}
	}
	return nil
}

func (p *Phase[D]) run(ctx context.Context, data D, prefix string, skipped map[string]bool, asked bool) error {
	path := prefix + p.Name
	if skipped[path] || p.Lone && !asked {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("phase %s: %w", path, context.Cause(ctx))
	}
	if p.Run != nil {
		if err := p.Run(ctx, data); err != nil {
			return fmt.Errorf("phase %s: %w", path, err)
		}
	}
	for i := range p.Phases {
		if err := p.Phases[i].run(ctx, data, path+"/", skipped, false); err != nil {
			return err
		}
	}
	return nil
}

// Paths lists the path of every phase.
func (w Workflow[D]) Paths() []string {
	var out []string
	w.walk(func(path string, _ *Phase[D]) { out = append(out, path) })
	return out
}

func (w Workflow[D]) walk(visit func(path string, p *Phase[D])) {
	var down func(prefix string, list []Phase[D])
	down = func(prefix string, list []Phase[D]) {
		for i := range list {
			visit(prefix+list[i].Name, &list[i])
			down(prefix+list[i].Name+"/", list[i].Phases)
		}
	}
	down("", w)
}

func (w Workflow[D]) knows(path string) bool {
	path = w.canonical(path)
	for _, known := range w.Paths() {
		if known == path {
			return true
		}
	}
	return false
}

// canonical replaces aliases in a path by the names they stand for.
func (w Workflow[D]) canonical(path string) string {
	parts := strings.Split(strings.ToLower(path), "/")
	list := []Phase[D](w)
	for i, part := range parts {
		next := []Phase[D](nil)
		for _, p := range list {
			if p.Name == part || slices.Contains(p.Aliases, part) {
				parts[i], next = p.Name, p.Phases
			}
		}
		list = next
	}
	return strings.Join(parts, "/")
}

// Usage renders the list for a command's help.
func (w Workflow[D]) Usage(command string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "The \"%s\" command executes the following phases:\n```\n", command)
	width := 0
	w.walk(func(path string, p *Phase[D]) { width = max(width, len(p.Name)+2*strings.Count(path, "/")) })
	w.walk(func(path string, p *Phase[D]) {
		if p.Lone {
			return
		}
		indent := strings.Repeat("  ", strings.Count(path, "/"))
		fmt.Fprintf(&out, "%-*s  %s\n", width, indent+p.Name, p.Short)
	})
	out.WriteString("```")
	return out.String()
}

// Command returns the `phase` subcommand: one command a phase. flags adds the flags of the whole command to each; load reads
// them into the data.
func (w Workflow[D]) Command(parent string, flags func(*cobra.Command), load func(cmd *cobra.Command, args []string) (D, error)) *cobra.Command {
	root := &cobra.Command{Use: "phase", Short: fmt.Sprintf("Use this command to invoke single phases of the %q workflow", parent), Args: cobra.NoArgs, RunE: groupRun}
	for i := range w {
		root.AddCommand(w[i].command("", flags, load))
	}
	return root
}

func (p *Phase[D]) command(prefix string, flags func(*cobra.Command), load func(*cobra.Command, []string) (D, error)) *cobra.Command {
	cmd := &cobra.Command{Use: p.Name, Aliases: p.Aliases, Short: p.Short, Long: p.Long}
	if p.Long == "" {
		cmd.Long = p.Short + "."
	}
	run := func(children bool) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			data, err := load(cmd, args)
			if err != nil {
				return err
			}
			own := *p
			if !children {
				own.Phases = nil
			}
			return own.run(cmd.Context(), data, prefix, nil, true)
		}
	}
	switch {
	case len(p.Phases) == 0 || p.Run != nil:
		cmd.RunE = run(true)
		cmd.Args = cobra.ArbitraryArgs
		flags(cmd)
	case p.Together:
		cmd.Args, cmd.RunE = cobra.NoArgs, groupRun
		all := &cobra.Command{Use: "all", Short: p.Short + ", all of it", Args: cobra.ArbitraryArgs, RunE: run(true)}
		flags(all)
		cmd.AddCommand(all)
	default:
		cmd.Args, cmd.RunE = cobra.NoArgs, groupRun
	}
	for i := range p.Phases {
		cmd.AddCommand(p.Phases[i].command(prefix+p.Name+"/", flags, load))
	}
	return cmd
}

// groupRun prints the help of a command that only groups others.
func groupRun(cmd *cobra.Command, _ []string) error { return cmd.Help() }
