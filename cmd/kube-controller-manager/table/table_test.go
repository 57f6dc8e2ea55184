package table

import (
	"testing"

	"pilotis.dev/cmd/kube-controller-manager/app"
)

func TestTheTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Controllers() {
		for _, name := range append([]string{row.Name}, row.Aliases...) {
			if seen[name] {
				t.Errorf("two controllers are called %s", name)
			}
			seen[name] = true
		}
		if _, err := row.Rights(); err != nil {
			t.Error(err)
		}
		if row.New == nil || row.Purpose == "" {
			t.Errorf("%s has no constructor or no purpose", row.Name)
		}
	}
	if _, err := app.Select(Controllers(), []string{"*"}); err != nil {
		t.Error(err)
	}
}
