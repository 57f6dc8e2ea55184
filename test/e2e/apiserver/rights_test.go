package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/e2e/daemons"
)

// request is a request for a verb of discovery; a write changes nothing.
func (r resource) request(verb, namespace, name string) (method, path, contentType string) {
	path = "/apis/" + r.gvr.Group + "/" + r.gvr.Version
	if r.gvr.Group == "" {
		path = "/api/" + r.gvr.Version
	}
	if r.Namespaced && namespace != "" {
		path += "/namespaces/" + namespace
	}
	path += "/" + r.gvr.Resource
	object := path + "/" + name
	if r.sub != "" {
		object += "/" + r.sub
		path = object
	}
	switch verb {
	case "get":
		return "GET", object, ""
	case "list":
		return "GET", path, ""
	case "watch":
		return "GET", path + "?watch=true&timeoutSeconds=1", ""
	case "create":
		return "POST", path + "?dryRun=All", jsonType
	case "update":
		return "PUT", object + "?dryRun=All", jsonType
	case "patch":
		return "PATCH", object + "?dryRun=All", mergePatch
	case "delete":
		return "DELETE", object, jsonType
	case "deletecollection":
		return "DELETE", path + "?labelSelector=nobody%3dhas-it", jsonType
	}
	panic("discovery tells of the verb " + verb)
}

// dryDelete is the body of a deletion that deletes nothing: where there is a body, the path's options do not count.
const dryDelete = `{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"]}`

// collective tells the verbs that concern no single object.
func collective(verb string) bool {
	return verb == "list" || verb == "watch" || verb == "deletecollection"
}

// right is a resource with one of its verbs, and who has just that.
type right struct {
	resource
	verb string
	user string
}

func (r right) String() string { return r.verb + " " + r.resource.String() }

func (r right) rule() rbacv1.PolicyRule { return rule(r.verb, r.gvr.Group, r.Name) }

// everybodys are the rights that need no role.
func everybodys(r resource, verb string) bool {
	return verb == "create" && slices.Contains([]string{"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"}, r.Name)
}

// matrix is what the tests of rights share: rights over all of discovery, and their owners.
type matrix struct {
	*testing.T
	granted, other string // namespaces
	resources      []resource
	rights         []right
	caller         *caller
}

const nobody = "nobody-here" // names no object

// TestRightsGiveWhatTheySay: for every resource and subresource of discovery and each of its verbs, a user who was
// granted just that may do it, and with it nothing else: no other verb, no other resource, no other namespace, no
// other object, and no role or binding that gives more.
func TestRightsGiveWhatTheySay(t *testing.T) {
	t.Parallel()
	m := &matrix{T: t, granted: shared.namespace(t), other: shared.namespace(t), resources: shared.discovered(t), caller: callerOf(t, shared.admin)}
	for _, r := range m.resources {
		for _, verb := range r.Verbs {
			if !everybodys(r, verb) {
				m.rights = append(m.rights, right{r, verb, fmt.Sprintf("right-%d", len(m.rights))})
			}
		}
	}
	t.Logf("%d rights of %d resources", len(m.rights), len(m.resources))
	m.groups()
	m.each(m.grant)
	m.each(func(i int, r right) {
		m.narrow(i, r)
		m.roles(i, r)
	})
}

// each does something for all rights, several at a time.
func (m *matrix) each(do func(int, right)) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range 8 {
		workers.Go(func() {
			for i := range next {
				do(i, m.rights[i])
			}
		})
	}
	for i := range m.rights {
		next <- i
	}
	close(next)
	workers.Wait()
}

// post creates an object as the administrator.
func (m *matrix) post(path string, object any) {
	body, err := json.Marshal(object)
	if err != nil {
		m.Error(err)
		return
	}
	if got, err := m.caller.send("POST", "/apis/"+rbacv1.GroupName+"/v1/"+path, string(body), "Content-Type", jsonType); err != nil || got.code != http.StatusCreated {
		m.Errorf("creating %s: %v %v", path, got, err)
	}
}

// groups are of those who write roles, and of those who may give more than they hold.
func (m *matrix) groups() {
	for group, verbs := range map[string][]string{"writers": {"create"}, "escalators": {"create", "escalate"}, "binders": {"create", "bind"}} {
		m.post("clusterroles", rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "matrix-" + group}, Rules: []rbacv1.PolicyRule{
			{Verbs: verbs, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "rolebindings", "clusterroles", "clusterrolebindings"}},
		}})
		m.post("clusterrolebindings", rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "matrix-" + group}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "matrix-" + group},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "matrix-" + group}},
		})
	}
}

// roleOf is the role of a right: every other one of a namespace is a ClusterRole that is bound there.
func (m *matrix) roleOf(i int) rbacv1.RoleRef {
	kind := "Role"
	if !m.rights[i].Namespaced || i%2 == 1 {
		kind = "ClusterRole"
	}
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: m.rights[i].user}
}

// grant gives the right to its user, the same for one object to <user>-named, and one of a namespace everywhere to <user>-wide.
func (m *matrix) grant(i int, r right) {
	ref := m.roleOf(i)
	meta := metav1.ObjectMeta{Name: r.user}
	named := r.rule()
	named.ResourceNames = []string{nobody}
	if ref.Kind == "Role" {
		m.post("namespaces/"+m.granted+"/roles", rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{r.rule()}})
	} else {
		m.post("clusterroles", rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{r.rule()}})
	}
	m.bind(r, r.user, ref)
	ref = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.user + "-named"}
	m.post("clusterroles", rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: ref.Name}, Rules: []rbacv1.PolicyRule{named}})
	m.bind(r, ref.Name, ref)
}

// bind binds a role to the user of its name, where the right is to hold.
func (m *matrix) bind(r right, user string, ref rbacv1.RoleRef) {
	meta, subjects := metav1.ObjectMeta{Name: user}, []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	if r.Namespaced {
		m.post("namespaces/"+m.granted+"/rolebindings", rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	} else {
		m.post("clusterrolebindings", rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	}
}

// as sends a request as a user of the groups.
func (m *matrix) as(user, method, path, contentType, body string, groups ...string) answer {
	header := []string{"Impersonate-User", user, "Content-Type", contentType}
	for _, g := range groups {
		header = append(header, "Impersonate-Group", g)
	}
	got, err := m.caller.send(method, path, body, header...)
	if err != nil {
		m.Errorf("%s %s: %v", method, path, err)
	}
	return got
}

// may tries a request; what is refused otherwise than for want of the right counts as allowed.
func (m *matrix) may(user string, r resource, verb, namespace, name string) bool {
	method, path, contentType := r.request(verb, namespace, name)
	body := "{}"
	if method == "DELETE" {
		body = dryDelete
	}
	got := m.as(user, method, path, contentType, body)
	return got.code != http.StatusForbidden || !strings.Contains(got.body, `User \"`+user+`\" cannot `)
}

// narrow tries the right itself and all that is beside it.
func (m *matrix) narrow(i int, r right) {
	for began := time.Now(); !m.may(r.user, r.resource, r.verb, m.granted, nobody); {
		if time.Since(began) > daemons.Patience {
			m.Errorf("%s: it is refused to whom it was granted", r)
			return
		}
		time.Sleep(20 * time.Millisecond) // the poll's interval: the authorizer watches roles
	}
	m.rules(r)
	for _, verb := range r.Verbs {
		if verb != r.verb && m.may(r.user, r.resource, verb, m.granted, nobody) {
			m.Errorf("%s: it allows to %s", r, verb)
		}
	}
	for _, o := range m.beside(r) {
		if m.may(r.user, o, r.verb, m.granted, nobody) {
			m.Errorf("%s: it allows the same of %s", r, o)
		}
	}
	if r.Namespaced {
		if m.may(r.user, r.resource, r.verb, m.other, nobody) {
			m.Errorf("%s: it allows the same in another namespace", r)
		}
		if (r.verb == "list" || r.verb == "watch") && m.may(r.user, r.resource, r.verb, "", "") {
			m.Errorf("%s: it allows the same in all namespaces", r)
		}
	}
	single := !collective(r.verb) && (r.verb != "create" || r.sub != "")
	if got := m.may(r.user+"-named", r.resource, r.verb, m.granted, nobody); got != single {
		m.Errorf("%s: granted for one object, allowed is %v", r, got)
	}
	if m.may(r.user+"-named", r.resource, r.verb, m.granted, "other") {
		m.Errorf("%s: granted for one object, it is allowed for another", r)
	}
	if r.verb == "list" || r.verb == "watch" {
		method, path, _ := r.request("list", m.granted, "")
		for name, want := range map[string]bool{nobody: true, "other": false} {
			got := m.as(r.user+"-named", method, path+"?fieldSelector=metadata.name%3d"+name+map[string]string{"watch": "&watch=true&timeoutSeconds=1"}[r.verb], "", "")
			if allowed := got.code != http.StatusForbidden; allowed != want {
				m.Errorf("%s: granted for one object, asked for by a selector of %s, allowed is %v", r, name, allowed)
			}
		}
	}
}

// rules asks what the user may do in the namespace, all in all.
func (m *matrix) rules(r right) {
	got := m.as(r.user, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", jsonType, `{"spec":{"namespace":"`+m.granted+`"}}`)
	var review authorizationv1.SelfSubjectRulesReview
	if err := json.Unmarshal([]byte(got.body), &review); err != nil || got.code != http.StatusCreated {
		m.Errorf("%s: %v %v", r, got, err)
		return
	}
	found := false
	for _, rule := range review.Status.ResourceRules {
		switch {
		case slices.Equal(rule.Verbs, []string{r.verb}) && slices.Equal(rule.APIGroups, []string{r.gvr.Group}) && slices.Equal(rule.Resources, []string{r.Name}):
			found = true
		case !slices.Equal(rule.Verbs, []string{"create"}) || slices.ContainsFunc(rule.Resources, func(name string) bool { return !strings.HasPrefix(name, "selfsubject") }):
			m.Errorf("%s: the user holds also %v", r, rule)
		}
	}
	if !found {
		m.Errorf("%s: it is not among the user's rules %v", r, review.Status.ResourceRules)
	}
}

// beside are resources that are easily taken for the one of a right: its subresources and what it is one of, its
// namesakes of other groups and versions, and those that follow.
func (m *matrix) beside(r right) []resource {
	var near []resource
	at := slices.IndexFunc(m.resources, func(o resource) bool { return o.String() == r.resource.String() })
	for i, o := range m.resources {
		kin := o.gvr.Resource == r.gvr.Resource && (o.gvr.Group != r.gvr.Group || o.sub != r.sub)
		next := i > at && i <= at+3 && o.Namespaced == r.Namespaced && o.Name != r.Name
		if (kin || next) && o.can(r.verb) && !everybodys(o, r.verb) {
			near = append(near, o)
		}
	}
	return near
}

// writes tells the rights of those who write roles.
func (r right) writes() bool { return r.gvr.Group == rbacv1.GroupName && r.verb == "create" }

// roles: a right can be passed on by who may write roles, and not more than it.
func (m *matrix) roles(i int, r right) {
	if r.writes() {
		return // whoever passes rights on here has it
	}
	j := i
	for j = (j + 1) % len(m.rights); m.rights[j].Namespaced != r.Namespaced || m.rights[j].writes(); j = (j + 1) % len(m.rights) {
	}
	more := m.rights[j]
	roles, bindings := "clusterroles", "clusterrolebindings"
	if r.Namespaced {
		roles, bindings = "namespaces/"+m.granted+"/roles", "namespaces/"+m.granted+"/rolebindings"
	}
	try := func(what, path string, object any, group string, want bool) {
		body, err := json.Marshal(object)
		if err != nil {
			m.Error(err)
			return
		}
		got := m.as(r.user, "POST", "/apis/"+rbacv1.GroupName+"/v1/"+path+"?dryRun=All", jsonType, string(body), "matrix-"+group)
		if allowed := got.code == http.StatusCreated; allowed != want || !allowed && got.code != http.StatusForbidden {
			m.Errorf("a holder of %q, one of %s, creates %s: %v", r, group, what, got)
		}
	}
	role := func(r right) any {
		return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "new"}, Rules: []rbacv1.PolicyRule{r.rule()}}
	}
	binding := func(i int) any {
		return rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "new"}, RoleRef: m.roleOf(i), Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "friend"}}}
	}
	try("a role of it", roles, role(r), "writers", true)
	try("a role of "+more.String(), roles, role(more), "writers", false)
	try("a binding of it", bindings, binding(i), "writers", true)
	try("a binding of "+more.String(), bindings, binding(j), "writers", false)
	try("a role of "+more.String(), roles, role(more), "escalators", true)
	try("a binding of "+more.String(), bindings, binding(j), "escalators", false)
	try("a binding of "+more.String(), bindings, binding(j), "binders", true)
	try("a role of "+more.String(), roles, role(more), "binders", false)
	if r.Namespaced {
		try("a role of it in another namespace", "namespaces/"+m.other+"/roles", role(r), "writers", false)
		if m.roleOf(i).Kind == "ClusterRole" {
			try("a binding of it in another namespace", "namespaces/"+m.other+"/rolebindings", binding(i), "writers", false)
			try("a binding of it in the whole cluster", "clusterrolebindings", binding(i), "writers", false)
		}
	}
}
