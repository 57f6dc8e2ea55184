package leadership

import (
	"bytes"
	"encoding/json"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// entry is what one line of the audit log says.
type entry struct {
	Verb                     string
	User                     struct{ Username string }
	ObjectRef                struct{ Resource, Namespace, Name, Subresource string }
	ResponseStatus           metav1.Status
	ResponseObject           json.RawMessage
	RequestReceivedTimestamp metav1.MicroTime
	StageTimestamp           metav1.MicroTime // of the answer
}

// events are the writes that the API server has carried out, in the order of their answers.
func (p *plane) events() []entry {
	p.Helper()
	data, err := os.ReadFile(p.audit)
	if err != nil {
		p.Fatal(err)
	}
	var out []entry
	for line := range bytes.Lines(data) {
		var e entry
		if !bytes.HasSuffix(line, []byte("\n")) {
			continue // being written
		}
		if err := json.Unmarshal(line, &e); err != nil {
			p.Fatalf("audit log: %v: %s", err, line)
		}
		if e.ResponseStatus.Code < 300 {
			out = append(out, e)
		}
	}
	return out
}

// holder is who has the lease by this entry, empty after a release; it is of the lease when ok.
func (e entry) holder() (identity string, ok bool) {
	if e.ObjectRef.Resource != "leases" || e.ObjectRef.Name != lease {
		return "", false
	}
	var l coordinationv1.Lease
	if json.Unmarshal(e.ResponseObject, &l) != nil || l.Spec.HolderIdentity == nil {
		return "", false
	}
	return *l.Spec.HolderIdentity, true
}

// term is the time in which one user leads, or nobody.
type term struct {
	user  string
	began time.Time // when the request arrived that took or released the lease
}

func terms(events []entry) []term {
	var out []term
	last := ""
	for _, e := range events {
		holder, ok := e.holder()
		if !ok || holder == last {
			continue
		}
		last = holder
		t := term{e.User.Username, e.RequestReceivedTimestamp.Time}
		if holder == "" {
			t.user = ""
		}
		out = append(out, t)
	}
	return out
}

// deposed are the writes that were under way or began when their user did not have the lease any more.
func deposed(events []entry) (late []entry, byUser map[string]int) {
	all := terms(events)
	byUser = map[string]int{}
	for _, e := range events {
		if e.ObjectRef.Resource == "leases" || e.User.Username == "kubernetes-super-admin" {
			continue
		}
		byUser[e.User.Username]++
		leader := ""
		for _, t := range all {
			if t.began.After(e.StageTimestamp.Time) {
				break
			}
			leader = t.user
		}
		if leader != e.User.Username {
			late = append(late, e)
		}
	}
	return late, byUser
}
