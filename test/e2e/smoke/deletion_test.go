package smoke

import (
	"fmt"
	"strings"
	"testing"
)

// TestNamespaceGoesWithItsContent: 200 objects go, one with a finalizer holds the namespace until it is let go.
func TestNamespaceGoesWithItsContent(t *testing.T) {
	s := newSpace(t)
	var manifest strings.Builder
	for i := range 200 {
		fmt.Fprintf(&manifest, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n", i)
	}
	manifest.WriteString("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [smoke.pilotis.dev/hold]}\n")
	s.apply(manifest.String())
	s.must("delete", "namespace", s.name, "--wait=false")
	s.until("the held object to be all that is left", func() (string, bool) {
		out, _ := s.try("get", "configmaps", "-o", "name")
		return out, strings.TrimSpace(out) == "configmap/held"
	})
	s.until("the namespace to say what keeps it", func() (string, bool) {
		out, _ := s.try("get", "namespace", s.name, "-o", `jsonpath={.status.conditions[?(@.type=="NamespaceFinalizersRemaining")].message}`)
		return out, strings.Contains(out, "smoke.pilotis.dev/hold in 1 resource instances")
	})
	s.must("patch", "configmap", "held", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	s.must("wait", "--for=delete", "namespace/"+s.name, "--timeout=60s")
}

// TestDependentsFollowOrStay: cascade background, foreground and orphan.
func TestDependentsFollowOrStay(t *testing.T) {
	s := newSpace(t)
	make := func(name string) {
		s.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`)
		s.must("rollout", "status", "deployment/"+name, "--timeout=90s")
	}
	for _, cascade := range []string{"background", "foreground"} {
		make(cascade)
		s.must("delete", "deployment", cascade, "--cascade="+cascade, "--timeout=60s")
		s.eventually("", "get", "replicasets,pods", "-l", "app="+cascade, "-o", "name")
	}
	make("orphan")
	s.must("delete", "deployment", "orphan", "--cascade=orphan")
	s.until("the ReplicaSet to have no owner", func() (string, bool) {
		out, _ := s.try("get", "replicasets", "-l", "app=orphan", "-o", "jsonpath={.items[*].status.readyReplicas} {.items[*].metadata.ownerReferences}")
		return out, strings.TrimSpace(out) == "1"
	})
}
