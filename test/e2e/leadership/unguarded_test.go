package leadership

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestADeposedLeaderWithoutAFenceIsCaught shows that TestADeposedLeaderWritesNothing can fail.
func TestADeposedLeaderWithoutAFenceIsCaught(t *testing.T) {
	if !*unguarded {
		t.Skip("-unguarded builds the program for this")
	}
	p := newPlane(t, shortLease...)
	p.manager = withoutFence(t)
	p.keepBusy()
	lost := p.stopAndGo(*cycles)
	late, _ := deposed(p.events())
	t.Logf("%d cycles, the lead was lost in %d, writes of a deposed leader: %d", *cycles, lost, len(late))
	if len(late) == 0 {
		t.Error("nothing was written by a deposed leader, though nothing kept it from that")
	}
}

// withoutFence builds a controller manager whose fence is always open.
func withoutFence(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	const guard, none = "open: !c.LeaderElect", "open: true"
	source := filepath.Join(root, "pkg", "daemon", "election.go")
	text, err := os.ReadFile(source)
	if err != nil || strings.Count(string(text), guard) != 1 {
		t.Fatalf("%s does not have once %q: %v", source, guard, err)
	}
	dir := t.TempDir()
	changed, overlay, program := filepath.Join(dir, "election.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "kube-controller-manager")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{changed: []byte(strings.Replace(string(text), guard, none, 1)), overlay: list} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-overlay="+overlay, "-o", program, ".")
	cmd.Dir = filepath.Join(root, "cmd", "kube-controller-manager")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building without the fence: %v\n%s", err, out)
	}
	return program
}
