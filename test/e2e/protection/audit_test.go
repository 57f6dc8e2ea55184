package protection

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"pilotis.dev/test/e2e/daemons"
)

const policy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [silent]}
- {level: Metadata, resources: [{group: "", resources: [secrets]}]}
- {level: Request, resources: [{group: "", resources: [configmaps]}], verbs: [create]}
- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}], verbs: [get], omitStages: [ResponseStarted]}
- {level: None}
`

// received gathers batches of audit events.
type received struct {
	mu      sync.Mutex
	batches []auditv1.EventList
}

func (r *received) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var list auditv1.EventList
	if err := json.NewDecoder(req.Body).Decode(&list); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, list)
}

func (r *received) events() (all []auditv1.Event, largest int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.batches {
		all, largest = append(all, b.Items...), max(largest, len(b.Items))
	}
	return all, largest
}

// The policy says what is recorded; the log and the webhook get the same, and nobody gets a Secret's data.
func TestAudit(t *testing.T) {
	t.Parallel()
	hook := &received{}
	log := filepath.Join(t.TempDir(), "audit.log")
	s := serve(t, "--audit-policy-file="+temporary(t, "policy.yaml", policy), "--audit-log-path="+log, "--audit-log-maxsize=1", "--audit-log-maxbackup=2", "--audit-log-maxage=1",
		"--audit-webhook-config-file="+listen(t, hook).kubeconfig(t, "/audit"), "--audit-webhook-mode=batch", "--audit-webhook-batch-max-size=4", "--audit-webhook-batch-max-wait=300ms")
	s.secret(t, "hidden")
	send(t, s.admin, "POST", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"seen"},"data":{"a":"requested"}}`)
	get(t, s.admin, "/api/v1/namespaces/default/configmaps/seen")
	get(t, s.as(t, "silent", "system:masters"), "/api/v1/namespaces/default/secrets/hidden")

	var events []auditv1.Event
	daemons.Eventually(t, "the webhook to hear of all", func() (string, bool) {
		all, _ := hook.events()
		events = all
		seen := ""
		for _, e := range all {
			if e.ObjectRef != nil && e.ObjectRef.Name == "seen" {
				seen += e.Verb
			}
		}
		return seen, strings.Contains(seen, "create") && strings.Contains(seen, "get")
	})
	logged, err := os.ReadFile(log)
	must(t, err)
	if strings.Contains(string(logged), confidential) {
		t.Error("the log holds a Secret's data")
	}
	found := map[string]bool{}
	for _, e := range events {
		if e.Stage == auditv1.StageRequestReceived {
			t.Errorf("stage %s of %s %s was to be left out", e.Stage, e.Verb, e.RequestURI)
		}
		if e.User.Username == "silent" {
			t.Errorf("the silent user is heard: %s", e.RequestURI)
		}
		if !strings.Contains(string(logged), string(e.AuditID)) {
			t.Errorf("the webhook heard of %s %s, the log did not", e.Verb, e.RequestURI)
		}
		if e.ObjectRef == nil {
			continue
		}
		name := e.Verb + " " + e.ObjectRef.Resource
		switch found[name] = true; {
		case e.ObjectRef.Resource == "secrets":
			if e.Level != auditv1.LevelMetadata || e.RequestObject != nil || e.ResponseObject != nil {
				t.Errorf("%s is recorded at %s with %v %v", name, e.Level, e.RequestObject, e.ResponseObject)
			}
		case name == "create configmaps" && e.ObjectRef.Name == "seen":
			if e.Level != auditv1.LevelRequest || e.ResponseObject != nil || !strings.Contains(string(e.RequestObject.Raw), "requested") {
				t.Errorf("%s is recorded at %s with %v %v", name, e.Level, e.RequestObject, e.ResponseObject)
			}
		case name == "get configmaps" && e.ObjectRef.Name == "seen":
			if e.Level != auditv1.LevelRequestResponse || !strings.Contains(string(e.ResponseObject.Raw), "requested") {
				t.Errorf("%s is recorded at %s with %v", name, e.Level, e.ResponseObject)
			}
		}
	}
	for _, name := range []string{"create secrets", "create configmaps", "get configmaps"} {
		if !found[name] {
			t.Errorf("%s is not recorded", name)
		}
	}
	s.rotated(t, log, hook)
}

// rotated fills more than three logs of 1 MB: the oldest goes, and the webhook gets batches no larger than it was said.
func (s *server) rotated(t *testing.T, log string, hook *received) {
	t.Helper()
	for i := range 12 {
		got := send(t, s.admin, "POST", "/api/v1/namespaces/default/configmaps",
			fmt.Sprintf(`{"metadata":{"name":"large-%d"},"data":{"a":%q}}`, i, strings.Repeat("x", 400_000)))
		if got.code != http.StatusCreated {
			t.Fatal(got)
		}
	}
	daemons.Eventually(t, "the log to have two backups", func() (string, bool) {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(log), "audit-*.log"))
		return fmt.Sprint(files, err), len(files) == 2
	})
	daemons.Eventually(t, "the webhook to hear of the last", func() (string, bool) {
		all, largest := hook.events()
		if largest > 4 {
			t.Fatalf("a batch has %d events, want 4 at most", largest)
		}
		last := all[len(all)-1]
		return last.RequestURI, strings.Contains(fmt.Sprint(last.ObjectRef), "large-11") || len(all) >= 12
	})
}
