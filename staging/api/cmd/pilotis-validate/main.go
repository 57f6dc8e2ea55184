// Command pilotis-validate checks manifests of built-in kinds without a server: it decodes them strictly, fills
// defaults and prints every fault that a Kubernetes API server would answer with.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	_ "time/tzdata" // time zones of CronJobs, on machines without zoneinfo too

	"github.com/spf13/pflag"

	"pilotis.dev/api/validation"
	"pilotis.dev/api/validation/expressions"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes: 0 no fault, 1 faults, 2 wrong use or something that could not be read.
const (
	good   = 0
	faulty = 1
	misuse = 2
)

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := pflag.NewFlagSet("pilotis-validate", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	files := flags.StringArrayP("filename", "f", nil, "file or directory of YAML or JSON manifests; - reads standard input; may be repeated")
	namespace := flags.StringP("namespace", "n", "default", "namespace of objects that name none")
	quiet := flags.BoolP("quiet", "q", false, "print faults only, no summary and no notes")
	known := flags.Bool("require-known", false, "count objects of kinds that are not built in as faults")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Checks manifests of built-in Kubernetes kinds without a server.\n\nUsage:\n  pilotis-validate -f FILE|DIRECTORY|- …\n\nFlags:\n%s", flags.FlagUsages())
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return good
		}
		fmt.Fprintf(stderr, "pilotis-validate: %v\n", err)
		return misuse
	}
	if len(*files) == 0 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "pilotis-validate: name what to check by -f, such as -f manifests/")
		return misuse
	}
	rules, err := expressions.New()
	if err != nil {
		fmt.Fprintf(stderr, "pilotis-validate: %v\n", err)
		return misuse
	}
	c, err := newChecker(&validation.Validator{Expressions: rules}, *namespace, *known)
	if err != nil {
		fmt.Fprintf(stderr, "pilotis-validate: %v\n", err)
		return misuse
	}
	paths, err := manifests(*files)
	unread := []error{err}
	for _, path := range paths {
		unread = append(unread, c.file(path, stdin))
	}
	for _, line := range c.faults {
		fmt.Fprintln(stdout, line)
	}
	if !*quiet {
		for _, line := range c.notes {
			fmt.Fprintln(stderr, line)
		}
		fmt.Fprintf(stderr, "%d objects in %d files: %d faults\n", c.objects, len(paths), len(c.faults))
	}
	switch err := errors.Join(unread...); {
	case err != nil:
		for line := range strings.Lines(err.Error() + "\n") {
			fmt.Fprintf(stderr, "pilotis-validate: %s", line)
		}
		return misuse
	case len(c.faults) > 0:
		return faulty
	}
	return good
}
