package smoke

import (
	"context"
	"strings"
	"testing"
)

// TestHelmInstallsUpgradesAndRollsBack drives a chart with hooks through its life.
func TestHelmInstallsUpgradesAndRollsBack(t *testing.T) {
	s := newSpace(t)
	helm := func(args ...string) string {
		t.Helper()
		out, err := run(context.Background(), "", "bin/helm", append(args, "--namespace="+s.name)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	chart := []string{"shop", "testdata/chart", "--set=image=" + image, "--wait", "--timeout=90s"}
	helm(append([]string{"install"}, chart...)...)
	if out := s.must("get", "job", "shop-hook", "-o", "jsonpath={.status.succeeded}"); out != "1" {
		t.Errorf("the hook succeeded %q times, want 1", out)
	}
	helm(append(append([]string{"upgrade"}, chart...), "--set=replicas=2", "--set=greeting=bye")...)
	if out := s.must("get", "deployment", "shop", "-o", "jsonpath={.status.readyReplicas}"); out != "2" {
		t.Errorf("after the upgrade %q replicas are ready, want 2", out)
	}
	helm("rollback", "shop", "1", "--wait", "--timeout=90s")
	if out := s.must("get", "configmap", "shop", "-o", "jsonpath={.data.greeting}"); out != "hello" {
		t.Errorf("after the rollback the greeting is %q", out)
	}
	helm("uninstall", "shop", "--wait", "--timeout=90s")
	if out := s.must("get", "deployments,configmaps,services"); strings.Contains(out, "shop") {
		t.Errorf("left over:\n%s", out)
	}
}
