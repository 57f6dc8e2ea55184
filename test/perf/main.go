// Command perf measures the figures of docs/performance.md on this machine: `make bench` runs it.
//
//	perf --root=. [--profiles] [--rounds=3] [--against=DIR] [cluster|apiserver|controllers|scheduler …]
//
// Parts other than cluster run etcd and the daemons that they need on loopback, and nothing else. With --against, the programs
// under DIR/bin are measured in turn with those of the root, which a machine that is slower for an hour does not distort.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// part measures some figures and adds them to the report.
type part struct {
	name string
	run  func(ctx context.Context, root string, r *report) error
}

var parts = []part{
	{"cluster", measureCluster},
	{"apiserver", measureAPIServer},
	{"controllers", measureControllers},
	{"scheduler", measureScheduler},
}

var (
	profiles = flag.Bool("profiles", false, "leave CPU profiles of the daemons under load in out/")
	against  = flag.String("against", "", "a folder with another bin/, which is measured in turn with the root's")
	rounds   = flag.Int("rounds", 1, "how often each part is measured; the figures are medians")
)

func main() { os.Exit(run()) }

func run() int {
	root := flag.String("root", ".", "the repository, with bin/ built")
	flag.Parse()
	wanted := flag.Args()
	for _, name := range wanted {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			fmt.Fprintf(os.Stderr, "perf: unknown part %q: cluster, apiserver, controllers and scheduler are there\n", name)
			return 2
		}
	}
	if *rounds < 1 {
		fmt.Fprintf(os.Stderr, "perf: --rounds is %d: give 1 or more\n", *rounds)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *root, *against, wanted); err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		return 1
	}
	return 0
}

// measure runs the parts that are wanted, all of them if none is named, and writes the report.
func measure(ctx context.Context, root, against string, wanted []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	roots := []string{root}
	if against != "" {
		other, err := filepath.Abs(against)
		if err != nil {
			return err
		}
		roots = append(roots, other)
	}
	measured := make([][]*report, len(roots)) // a report a round, of each root
	for range *rounds {
		for i := range roots {
			measured[i] = append(measured[i], &report{})
		}
	}
	for _, p := range parts {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		for round := range *rounds {
			for i, dir := range roots {
				fmt.Fprintf(os.Stderr, "perf: %s of %s\n", p.name, dir)
				if err := p.run(ctx, dir, measured[i][round]); err != nil {
					return fmt.Errorf("%s of %s: %w", p.name, dir, err)
				}
			}
		}
	}
	r := medians(measured[0])
	if against != "" {
		r.compare(medians(measured[1]))
	}
	fmt.Print(r)
	path := filepath.Join(root, "out", "bench.json")
	if err := r.write(path); err != nil {
		return err
	}
	fmt.Println("Also in " + strings.TrimPrefix(path, root+"/"))
	return nil
}
