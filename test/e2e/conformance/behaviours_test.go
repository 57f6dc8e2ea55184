package conformance

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"pilotis.dev/test/e2e/testimage"
)

var (
	//go:embed behaviours.yaml
	behavioursFile []byte
	//go:embed behaviours_more.yaml
	behavioursMoreFile []byte
)

// one is a behaviour of behaviours.yaml, which says since when it holds, or of behaviours_more.yaml, which names its source.
type one struct {
	Name   string `json:"name"`
	Since  string `json:"since,omitempty"`
	Source string `json:"source,omitempty"`
	Must   string `json:"must"`
}

// sig is the group that a behaviour belongs to, for example sig-apps.
func (b one) sig() string {
	sig, _, _ := strings.Cut(strings.TrimPrefix(b.Name, "["), "]")
	return sig
}

// ledger knows every behaviour and what became of it in this run.
type ledger struct {
	mu     sync.Mutex
	all    []one            // of both files
	listed int              // how many are of behaviours.yaml
	claims map[string]claim // by the behaviour's name
}

type claim struct {
	test   string
	passed bool
}

var (
	book   = ledger{claims: map[string]claim{}}
	update = flag.Bool("update", false, "write docs/conformance.md anew")
)

func root() string { return os.Getenv("PILOTIS_ROOT") }

func clusterName() string {
	if name := os.Getenv("CLUSTER"); name != "" {
		return name
	}
	return "pilotis"
}

func TestMain(m *testing.M) {
	flag.Parse()
	if root() == "" || os.Getenv("KUBECONFIG") == "" {
		fmt.Fprintln(os.Stderr, "PILOTIS_ROOT and KUBECONFIG are missing: run make test-e2e")
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	for _, file := range []struct {
		name string
		data []byte
	}{{"behaviours.yaml", behavioursFile}, {"behaviours_more.yaml", behavioursMoreFile}} {
		book.listed = len(book.all)
		var list []one
		if err := yaml.UnmarshalStrict(file.data, &list); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file.name, err)
			return 1
		}
		book.all = append(book.all, list...)
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = testimage.Load(root(), clusterName(), dir)
	}
	if err == nil {
		err = testimage.LoadSampleServer(root(), clusterName())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	path := filepath.Join(root(), "docs", "conformance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if *update {
		if err := os.WriteFile(path, []byte(book.page(string(page))), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	} else if missing := book.missingFrom(string(page)); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "docs/conformance.md does not list these as they are; make conformance writes it anew:\n%s\n", strings.Join(missing, "\n"))
		return 1
	}
	return code
}

// behaviour says that the test proves the behaviour of this name, and gives it a namespace. The test runs beside others.
func behaviour(t *testing.T, name string) *space {
	t.Helper()
	t.Parallel()
	book.claim(t, name)
	return newSpace(t)
}

// documented says that the test proves these behaviours of behaviours_more.yaml, what Kubernetes documents beyond behaviours.yaml, and
// gives it a namespace. The test runs beside others.
func documented(t *testing.T, names ...string) *space {
	t.Helper()
	t.Parallel()
	for _, name := range names {
		book.claim(t, name)
	}
	return newSpace(t)
}

// claim notes which test proves the behaviour, and later whether it did.
func (l *ledger) claim(t *testing.T, name string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.all, func(b one) bool { return b.Name == name }) {
		t.Fatalf("neither behaviours.yaml nor behaviours_more.yaml has a behaviour %q", name)
	}
	if before, taken := l.claims[name]; taken {
		t.Fatalf("%s proves %q already", before.test, name)
	}
	l.claims[name] = claim{test: t.Name()}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.claims[name] = claim{t.Name(), !t.Failed() && !t.Skipped()}
	})
}

// page is docs/conformance.md after this run; what it did not try stays as it was.
func (l *ledger) page(before string) string {
	return `# Conformance

What a conformant cluster must do (test/e2e/conformance/behaviours.yaml), and the test that proves it on a real cluster. Written by
` + "`make conformance`; `make test`" + ` fails when it is not so any more.
` + l.tables("##", "since", before, l.all[:l.listed]) + `
## Beyond conformance

What Kubernetes documents beyond that (test/e2e/conformance/behaviours_more.yaml), with the enhancement proposal (KEP) or the page of its
documentation that says so.
` + l.tables("###", "source", before, l.all[l.listed:])
}

// tables has a heading and a table for each group of the behaviours; the column origin is of their Since or Source.
func (l *ledger) tables(heading, origin, before string, list []one) string {
	sections := map[string][]one{}
	var sigs []string
	for _, b := range list {
		if sections[b.sig()] == nil {
			sigs = append(sigs, b.sig())
		}
		sections[b.sig()] = append(sections[b.sig()], b)
	}
	var text strings.Builder
	for _, sig := range sigs {
		fmt.Fprintf(&text, "\n%s %s\n\n| behaviour | %s | test | result |\n| --- | --- | --- | --- |\n", heading, sig, origin)
		for _, b := range sections[sig] {
			row := l.row(b)
			if _, tried := l.claims[b.Name]; !tried {
				row = rowBefore(before, b, row)
			}
			text.WriteString(row + "\n")
		}
	}
	return text.String()
}

// row tells of one behaviour what this run found.
func (l *ledger) row(b one) string {
	test, result := "", "open"
	if c, claimed := l.claims[b.Name]; claimed {
		test, result = c.test, "fails"
		if c.passed {
			result = "holds"
		}
	}
	return fmt.Sprintf("%s %s | %s |", rowStart(b), test, result)
}

func rowStart(b one) string {
	name := strings.TrimSpace(strings.TrimPrefix(b.Name, "["+b.sig()+"]"))
	return fmt.Sprintf("| %s | %s |", strings.ReplaceAll(name, "|", `\|`), b.Since+b.Source)
}

// rowBefore is the row that the page had of b, or otherwise.
func rowBefore(page string, b one, otherwise string) string {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, rowStart(b)) {
			return strings.TrimSuffix(line, "\n")
		}
	}
	return otherwise
}

// missingFrom gives the rows of the behaviours that this run tried and that the page tells otherwise.
func (l *ledger) missingFrom(page string) []string {
	var missing []string
	for _, b := range l.all {
		if _, tried := l.claims[b.Name]; tried && !strings.Contains(page, l.row(b)+"\n") {
			missing = append(missing, l.row(b))
		}
	}
	return missing
}
