package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// guestbook is an application of three Deployments, each behind a Service of its name: the frontend sends what is
// written to the leader, and reads what followers copied from there.
func guestbook() string {
	var parts []string
	for _, part := range []struct {
		name          string
		replicas, own int // own is the port
		flags         string
	}{
		{"leader", 1, 6379, ""},
		{"follower", 2, 6379, ", --leader=http://leader:6379"},
		{"frontend", 2, 8080, ", --leader=http://leader:6379, --followers=http://follower:6379"},
	} {
		parts = append(parts, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %[1]s, labels: {application: guestbook}}
spec: {selector: {application: guestbook, part: %[1]s}, ports: [{port: %[3]d}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, labels: {application: guestbook}}
spec:
  replicas: %[2]d
  selector: {matchLabels: {application: guestbook, part: %[1]s}}
  template:
    metadata: {labels: {application: guestbook, part: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: %[5]s
        command: [witness, guestbook, "--listen=:%[3]d"%[4]s]
        ports: [{containerPort: %[3]d}]
        readinessProbe: {tcpSocket: {port: %[3]d}, periodSeconds: 1}
`, part.name, part.replicas, part.own, part.flags, image))
	}
	return strings.Join(parts, "---")
}

func TestGuestbook(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Guestbook application should create and stop a working application")
	if _, err := s.tryKubectl(guestbook(), "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"leader", "follower", "frontend"} {
		s.kubectl("rollout", "status", "deployment/"+part, "--timeout=120s")
	}
	frontend := s.Client.CoreV1().RESTClient()
	write := func(entry string) {
		t.Helper()
		s.eventually("the frontend to take "+entry, func() (any, bool) {
			err := frontend.Post().Namespace(s.Namespace).Resource("services").Name("frontend:8080").SubResource("proxy").Suffix("entries").Param("entry", entry).Do(s.Context()).Error()
			return err, err == nil
		})
	}
	reads := func(want ...string) {
		t.Helper()
		s.eventually(fmt.Sprintf("the frontend to show %q", want), func() (any, bool) {
			text, err := frontend.Get().Namespace(s.Namespace).Resource("services").Name("frontend:8080").SubResource("proxy").Suffix("entries").DoRaw(s.Context())
			var entries []string
			if err == nil {
				err = json.Unmarshal(text, &entries)
			}
			return fmt.Sprintf("%s %v", text, err), err == nil && slices.Equal(entries, want)
		})
	}
	reads()
	write("first")
	reads("first")
	write("second")
	reads("first", "second")
	// A follower that comes later has everything too.
	s.kubectl("delete", "pods", "-l", "part=follower")
	s.kubectl("rollout", "status", "deployment/follower", "--timeout=120s")
	reads("first", "second")

	if _, err := s.tryKubectl(guestbook(), "delete", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	s.prints("", "get", "deployments,replicasets,pods,services", "-l", "application=guestbook", "-o", "name")
}
