// Command perf measures the figures of docs/performance.md on this machine: `make bench` runs it.
//
//	perf --root=. [--profiles] [cluster|apiserver|controllers|scheduler …]
//
// Parts other than cluster run etcd and the daemons that they need on loopback, and nothing else.
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

var profiles = flag.Bool("profiles", false, "leave CPU profiles of the daemons under load in out/")

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
	dir, err := filepath.Abs(*root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &report{}
	for _, p := range parts {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "perf: %s\n", p.name)
		if err := p.run(ctx, dir, r); err != nil {
			fmt.Fprintf(os.Stderr, "perf: %s: %v\n", p.name, err)
			return 1
		}
	}
	fmt.Print(r)
	path := filepath.Join(dir, "out", "bench.json")
	if err := r.write(path); err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		return 1
	}
	fmt.Println("Also in " + strings.TrimPrefix(path, dir+"/"))
	return 0
}
