package table

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/controllers.md and the API server's roles of the controllers anew")

const page = "../../../docs/controllers.md"

// TestThePageIsThatOfTheTable keeps docs/controllers.md, which `make generate` writes, true.
func TestThePageIsThatOfTheTable(t *testing.T) {
	want := pageOf(Controllers())
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("docs/controllers.md is not that of the table (%v): run `make generate`", err)
	}
}

func pageOf(rows []Row) string {
	var b strings.Builder
	b.WriteString("# Controllers\n\nWhat [kube-controller-manager](kube-controller-manager.md) runs, from its table (`Controllers()`; TestThePageIsThatOfTheTable keeps this page\n" +
		"true). Each writes as the service account of kube-system named here, with `--use-service-account-credentials`; reads go through the\ndaemon's shared caches.\n\n" +
		"| controller | what it does | reads | writes | service account |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		name := "**" + r.Name + "**"
		if len(r.Aliases) > 0 {
			name += ", also " + strings.Join(r.Aliases, ", ")
		}
		if r.OffByDefault {
			name += " (off unless `--controllers` names it)"
		}
		account := r.Account()
		switch {
		case r.AsDaemon:
			account = "the daemon's own"
		case len(r.Reads)+len(r.Cached)+len(r.Writes) == 0:
			account = "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, r.Purpose, code(slices.Concat(r.Reads, r.Cached)), code(r.Writes), account)
	}
	return b.String()
}

func code(list []string) string {
	if len(list) == 0 {
		return "–"
	}
	return "`" + strings.Join(list, "`, `") + "`"
}
