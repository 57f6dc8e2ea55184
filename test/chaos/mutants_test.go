package chaos

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var mutantRuns = flag.Int("mutant-runs", 200, "seeds after which a mutant that was not caught is a failure")

// mutant is a bug that the harness has to find. Old, which is in the file exactly once, is replaced by New; New asks mutant() whether
// this mutant is the one that lives, so that one binary has them all.
type mutant struct {
	Name string
	// Bug is what is wrong with it.
	Bug string
	// File is from the root of the repository.
	File     string
	Old, New string
	// Test finds it, and says that it Shows this, so that it fails for no other reason.
	Test, Shows string
}

// TestMutants builds this package with all mutants and shows that each is caught, and that nothing is when none lives.
func TestMutants(t *testing.T) {
	binary := buildMutants(t)
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if out, err := try(binary, "", "TestControllers/(replicaset|daemonset)-controller", 3); err != nil {
			t.Errorf("without a mutant: %v\n%s", err, out)
		}
	})
	for _, m := range mutants() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			out, err := try(binary, m.Name, m.Test, *mutantRuns)
			if err == nil {
				t.Errorf("%s: %d runs of %s did not catch it", m.Bug, *mutantRuns, m.Test)
			} else if !strings.Contains(out, " breaks: run again with") || !strings.Contains(out, m.Shows) {
				t.Errorf("%s: what failed is not that %q: %v\n%s", m.Bug, m.Shows, err, out[:min(len(out), 8000)])
			}
		})
	}
}

// try runs tests of the binary with a mutant alive.
func try(binary, name, test string, runs int) (string, error) {
	cmd := exec.Command(binary, "-test.run", "^"+strings.ReplaceAll(test, "/", "$/^")+"$", fmt.Sprintf("-seed=%d", *firstSeed), fmt.Sprintf("-runs=%d", runs), "-test.parallel=1")
	cmd.Env = append(os.Environ(), "CHAOS_MUTANT="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// buildMutants builds the test binary over copies of the files that the mutants change; the files themselves stay as they are.
func buildMutants(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sources, replace := map[string]string{}, map[string]string{}
	for _, m := range mutants() {
		if sources[m.File] == "" {
			data, err := os.ReadFile(filepath.Join(root, m.File))
			if err != nil {
				t.Fatal(err)
			}
			sources[m.File] = string(data)
		}
		if n := strings.Count(sources[m.File], m.Old); n != 1 {
			t.Fatalf("mutant %s: %s has %d times, not once: %s", m.Name, m.File, n, m.Old)
		}
		if !strings.Contains(m.New, fmt.Sprintf("mutant(%q)", m.Name)) {
			t.Fatalf("mutant %s: its code does not ask mutant(%q)", m.Name, m.Name)
		}
		sources[m.File] = strings.Replace(sources[m.File], m.Old, m.New, 1)
	}
	add := func(file, text string) {
		if replace[filepath.Join(root, file)] != "" {
			return // a package whose mutants are in several files
		}
		copied := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = copied
	}
	for file, text := range sources {
		add(file, text)
		name := strings.Fields(text[strings.Index(text, "\npackage ")+1:])[1]
		add(filepath.Join(filepath.Dir(file), "zz_chaos_mutant.go"), "package "+name+"\n\nimport \"os\"\n\nfunc mutant(name string) bool { return os.Getenv(\"CHAOS_MUTANT\") == name }\n")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "chaos.test")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay="+list, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the mutants: %v\n%s", err, out)
	}
	return binary
}

const controllers = "cmd/kube-controller-manager/controllers/"

func mutants() []mutant {
	world := func(name string) string { return "TestControllers/" + name }
	return []mutant{
		{
			Name: "gate-off", Bug: "a set is not held until the cache has the pods that were made for it", File: controllers + "pods/writer.go",
			Old: "	w.Loop.Wrote(w.Informer, owner.key(), created)\n", New: "	if !mutant(\"gate-off\") {\n		w.Loop.Wrote(w.Informer, owner.key(), created)\n	}\n", Test: world("replicaset-controller"), Shows: "and was asked for",
		},
		{
			Name: "stale-start", Bug: "the first list is that of any watch cache", File: "cmd/kube-controller-manager/app/narrow.go",
			Old: `if o.ResourceVersion == "0" {`, New: `if o.ResourceVersion == "0" && !mutant("stale-start") {`, Test: world("replicaset-controller"), Shows: "and was asked for",
		},
		{
			Name: "lost-answer", Bug: "a create whose answer is lost is taken for one that failed", File: "pkg/reconcile/doubt.go",
			Old: "	if err != nil && !Refused(err) {", New: "	if err != nil && !Refused(err) && !mutant(\"lost-answer\") {", Test: world("daemonset-controller"), Shows: "while it has",
		},
		{
			Name: "lost-slice", Bug: "the same of EndpointSlices alone", File: controllers + "slices/slices.go",
			Old: "		c.Unsure(err, slices.Informer()", New: "		if mutant(\"lost-slice\") {\n			return reconcile.Result{}, err\n		}\n		c.Unsure(err, slices.Informer()",
			Test: world("endpointslice-controller"), Shows: "are of the same Service and port",
		},
		{
			Name: "cold-cache-delete", Bug: "the garbage collector takes an owner that its cache lacks for gone, and does not ask", File: controllers + "garbagecollector/owners.go",
			Old: "	mapping, err := c.mapper.RESTMapping(", New: "	if mutant(\"cold-cache-delete\") && c.graph.get(r.UID) == nil {\n		return absent, nil\n	}\n	mapping, err := c.mapper.RESTMapping(", Test: world("garbage-collector-controller"), Shows: " lives: ",
		},
		{
			Name: "orphans-stay", Bug: "the garbage collector does not let an object go that waits for its dependents to be orphaned", File: controllers + "garbagecollector/graph.go",
			Old: "func (n *node) orphans() bool    { return n.Deleting && n.has(metav1.FinalizerOrphanDependents) }",
			New: "func (n *node) orphans() bool    { return !mutant(\"orphans-stay\") && n.Deleting && n.has(metav1.FinalizerOrphanDependents) }", Test: world("garbage-collector-controller"), Shows: "lives: true, not false",
		},
		{
			Name: "podgc-stale-nodes", Bug: "podgc does not ask the server whether a node that the cache lacks is gone", File: controllers + "podgc/podgc.go",
			Old: "apierrors.IsNotFound(err) {\n			gone[name] = true", New: "apierrors.IsNotFound(err) || mutant(\"podgc-stale-nodes\") {\n			gone[name] = true", Test: world("pod-garbage-collector-controller"), Shows: "is deleted, whose node",
		},
		{
			Name: "podgc-any-uid", Bug: "podgc deletes whatever has the name of the pod it means", File: controllers + "podgc/podgc.go",
			Old: "	p := d.Pod\n", New: "	p := d.Pod\n	if mutant(\"podgc-any-uid\") {\n		zero := int64(0)\n		return ignoreNotFound(client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero}))\n	}\n",
			Test: world("pod-garbage-collector-controller"), Shows: "is deleted, whose node",
		},
		{
			Name: "untrack-first", Bug: "the Job controller lets ended pods go before its status counts them", File: controllers + "job/controller.go",
			Old: "	status := plan.Status\n	dropped, dropErr", New: "	status := plan.Status\n	if mutant(\"untrack-first\") {\n		for _, pod := range plan.Untrack {\n			_ = c.untrack(ctx, owner, pod)\n		}\n	}\n	dropped, dropErr",
			Test: world("job-controller"), Shows: "is let go before it is counted",
		},
		{
			Name: "daemonset-terminating", Bug: "the DaemonSet controller does not see pods that are ending", File: controllers + "daemonset/controller.go",
			Old: "	keeper := history.Owner{Meta: ds,", New: "	if mutant(\"daemonset-terminating\") {\n		owned = pods.Select(owned, func(p *v1.Pod) bool { return p.DeletionTimestamp == nil })\n	}\n	keeper := history.Owner{Meta: ds,",
			Test: world("daemonset-controller"), Shows: "while it has",
		},
		{
			Name: "statefulset-force", Bug: "the StatefulSet controller deletes pods without their grace period", File: controllers + "statefulset/controller.go",
			Old: "	err := c.client.CoreV1().Pods(set.Namespace).Delete(", New: "	if zero := int64(0); mutant(\"statefulset-force\") {\n		return c.client.CoreV1().Pods(set.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero})\n	}\n	err := c.client.CoreV1().Pods(set.Namespace).Delete(",
			Test: world("statefulset-controller"), Shows: "is taken from the API while its containers run",
		},
		{
			Name: "detach-mounted", Bug: "volumes are detached from nodes that have them mounted", File: controllers + "attachdetach/plan.go",
			Old: "	if s.Node != nil && (!slices.Contains(", New: "	if s.Node != nil && (mutant(\"detach-mounted\") || !slices.Contains(", Test: world("persistentvolume-attach-detach-controller"), Shows: "is detached from",
		},
		{
			Name: "attach-twice", Bug: "a volume for one node is attached to a second one", File: controllers + "attachdetach/plan.go",
			Old: "		case exclusive(v.PV) && len(", New: "		case exclusive(v.PV) && !mutant(\"attach-twice\") && len(", Test: world("persistentvolume-attach-detach-controller"), Shows: "is to be attached to",
		},
		{
			Name: "bind-twice", Bug: "the binder gives a claim a volume that another claim has", File: controllers + "volumebinder/claim.go",
			Old: "	pv, err := view.Match(claim, delayed)\n", New: "	pv, err := view.Match(claim, delayed)\n	if mutant(\"bind-twice\") && pv != nil && view.Volume(\"v2\") != nil {\n		pv = view.Volume(\"v2\")\n	}\n", Test: world("persistentvolume-binder-controller"), Shows: "is taken from claim",
		},
		{
			Name: "claim-cold-cache", Bug: "a claim is let go by the cache alone", File: controllers + "protection/claims.go",
			Old: "	return live.use(ctx, c)\n", New: "	if mutant(\"claim-cold-cache\") {\n				return false, nil\n			}\n			return live.use(ctx, c)\n", Test: world("persistentvolumeclaim-protection-controller"), Shows: "is let go while pod",
		},
		{
			Name: "second-claim", Bug: "a claim that was made is forgotten when the pod's status was not written", File: controllers + "resourceclaim/podplan.go",
			Old: "		if claim.Annotations[annotationName] == entry.Name &&", New: "		if !mutant(\"second-claim\") && claim.Annotations[annotationName] == entry.Name &&", Test: world("resourceclaim-controller"), Shows: "gets a second claim",
		},
		{
			Name: "quota-forgets", Bug: "the quota controller counts pods that end only when something else changes", File: controllers + "resourcequota/settling.go",
			Old: "	if left <= 0 ||", New: "	if mutant(\"quota-forgets\") {\n		left = 1000 * patience\n	}\n	if left <= 0 ||", Test: world("resourcequota-controller"), Shows: "does not converge: pods:",
		},
		{
			Name: "evict-force", Bug: "pods of a node that nobody hears of are deleted without their grace period", File: controllers + "tainteviction/tainteviction.go",
			Old: "		return reconcile.Result{}, reconcile.IgnoreNotFound(client.CoreV1().Pods(key.Namespace).Delete(", New: "		if zero := int64(0); mutant(\"evict-force\") {\n			return reconcile.Result{}, reconcile.IgnoreNotFound(client.CoreV1().Pods(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero}))\n		}\n		return reconcile.Result{}, reconcile.IgnoreNotFound(client.CoreV1().Pods(key.Namespace).Delete(",
			Test: "TestAStatefulSetUnderPartitions", Shows: "two pods default/db-",
		},
	}
}
