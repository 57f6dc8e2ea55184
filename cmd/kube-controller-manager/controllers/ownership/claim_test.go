package ownership

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestPlan(t *testing.T) {
	owner := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "owner", UID: "me"}}
	other := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "other", UID: "other"}}
	deleted := metav1.Now()
	object := func(name, app string, by *v1.Pod, gone bool) *v1.Pod {
		p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, Labels: map[string]string{"app": app}}}
		if by != nil {
			p.OwnerReferences = []metav1.OwnerReference{Reference(by, "v1", "Pod")}
		}
		if gone {
			p.DeletionTimestamp = &deleted
		}
		return p
	}
	elsewhere := object("elsewhere", "x", nil, false)
	elsewhere.Namespace = "b"
	candidates := []*v1.Pod{
		object("mine", "x", owner, false), object("mine-going", "x", owner, true), object("strayed", "y", owner, false),
		object("theirs", "x", other, false), object("orphan", "x", nil, false), object("orphan-going", "x", nil, true), object("unrelated", "y", nil, false), elsewhere,
	}
	match := BySelector[*v1.Pod](labels.SelectorFromSet(labels.Set{"app": "x"}))
	if got := Plan(owner, match, candidates).String(); got != "own mine\nown mine-going\nadopt orphan\nrelease strayed\n" {
		t.Errorf("plan:\n%s", got)
	}
	owner.DeletionTimestamp = &deleted
	if got := Plan(owner, match, candidates).String(); got != "own mine\nown mine-going\n" {
		t.Errorf("plan of an owner in deletion:\n%s", got)
	}
}

func TestPatchesNameTheObject(t *testing.T) {
	owner := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "owner", UID: "me"}}
	if got := string(AdoptPatch(Reference(owner, "v1", "Pod"), "it", "f")); !strings.Contains(got, `"uid":"it"`) || !strings.Contains(got, `"finalizers":["f"]`) || !strings.Contains(got, `"controller":true`) {
		t.Error(got)
	}
	if got := string(ReleasePatch("me", "it", "f")); got != `{"metadata":{"$deleteFromPrimitiveList/finalizers":["f"],"ownerReferences":[{"$patch":"delete","uid":"me"}],"uid":"it"}}` {
		t.Error(got)
	}
}
