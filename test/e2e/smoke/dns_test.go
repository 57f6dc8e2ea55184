package smoke

import (
	"strings"
)

// lookup gives the records that a client's name servers have.
func (w town) lookup(kind, name string) string {
	w.t.Helper()
	return w.must("exec", "client-0", "--", "witness", "lookup", kind, name)
}

// resolves waits until the records of a name are want, in order.
func (w town) resolves(kind, name string, want ...string) {
	w.t.Helper()
	w.until("records "+kind+" of "+name+" to be "+strings.Join(want, ", "), func() (string, bool) {
		got := w.lookup(kind, name)
		return got, got == strings.Join(want, "\n")
	})
}

// headlessNames: records of the pods behind a headless Service, those of a StatefulSet by name; pods that are not ready
// are found only where the Service asks for it.
func headlessNames(w town) {
	domain := "." + w.name + ".svc.cluster.local"
	w.apply(`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: db-ready}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: db
        image: IMAGE
        command: [witness, serve, --tcp=5432]
        readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}
`)
	w.eventually("Running Running", "get", "pods", "-l", "app=db", "-o", "jsonpath={.items[*].status.phase}")
	pods := strings.Fields(w.must("get", "pods", "-l", "app=db", "--sort-by=.status.podIP", "-o", "jsonpath={.items[*].status.podIP}"))
	w.resolves("srv", "_sql._tcp.db"+domain, "db-0.db"+domain+". 5432", "db-1.db"+domain+". 5432")
	if got := strings.Fields(w.lookup("a", "db"+domain)); len(got) != 2 {
		w.t.Errorf("addresses of db: %v, want those of %v", got, pods)
	}
	first := w.must("get", "pod", "db-0", "-o", "jsonpath={.status.podIP}")
	w.resolves("a", "db-0.db"+domain, first)
	w.resolves("ptr", first, "db-0.db"+domain+".")
	w.resolves("a", "db-ready"+domain)
	w.must("exec", "db-0", "--", "touch", "/tmp/ready")
	w.resolves("a", "db-ready"+domain, first)
	w.hears("db-0", "client-1", "tcp://db-ready:5432", "tcp://db-0.db:5432")
}

// externalNames are aliases; a Service with an address has names both ways.
func externalNames(w town) {
	domain := "." + w.name + ".svc.cluster.local"
	ip, _ := w.service("named", "{selector: {app: server}, ports: [{name: http, port: 80, targetPort: 8080}]}")
	w.resolves("a", "named"+domain, ip)
	w.resolves("a", "named", ip)
	w.resolves("srv", "_http._tcp.named"+domain, "named"+domain+". 80")
	w.resolves("ptr", ip, "named"+domain+".")
	w.apply("apiVersion: v1\nkind: Service\nmetadata: {name: alias}\nspec: {type: ExternalName, externalName: named" + domain + "}\n")
	w.resolves("cname", "alias"+domain, "named"+domain+".")
	w.hears(both, "client-0", "--count=12", "tcp://alias:80")
}
