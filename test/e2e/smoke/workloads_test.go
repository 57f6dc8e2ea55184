package smoke

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: IMAGE
        command: [sh, -c, "mkdir -p /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"]
        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 2}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`

// TestDeploymentIsReachable: by cluster IP, DNS name and node port, from a pod on each node; scaled, rolled back, healed.
func TestDeploymentIsReachable(t *testing.T) {
	s := newSpace(t)
	s.apply(web)
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "status", "daemonset/client", "--timeout=90s")
	clients := strings.Fields(s.must("get", "pods", "-l", "app=client", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(clients) != 2 {
		t.Fatalf("clients %v, want one a node", clients)
	}
	ip := s.must("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	port := s.must("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
	targets := []string{"http://" + ip, "http://web", "http://web." + s.name + ".svc.cluster.local"}
	for _, node := range strings.Fields(s.must("get", "nodes", "-o", `jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}`)) {
		targets = append(targets, "http://"+node+":"+port)
	}
	for _, client := range clients {
		for _, target := range targets {
			if out := s.must("exec", client, "--", "wget", "-qO-", target); !strings.HasPrefix(out, "web-") {
				t.Errorf("%s from %s answered %q", target, client, out)
			}
		}
	}
	s.must("scale", "deployment/web", "--replicas=5")
	s.eventually("5", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	victim := strings.Fields(s.must("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"))[0]
	s.must("delete", "pod", victim, "--wait=false")
	s.until("another pod in the place of "+victim, func() (string, bool) {
		out, _ := s.try("get", "pods", "-l", "app=web", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}")
		return out, !strings.Contains(out, victim) && len(strings.Fields(out)) == 5
	})
}

// TestRollingUpdateLosesNoRequest asks through the Service all the time while every pod is replaced.
func TestRollingUpdateLosesNoRequest(t *testing.T) {
	s := newSpace(t)
	s.apply(web)
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "status", "daemonset/client", "--timeout=90s")
	client := strings.Fields(s.must("get", "pods", "-l", "app=client", "-o", "jsonpath={.items[*].metadata.name}"))[0]
	loop := `i=0; bad=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); wget -qO- http://web >/dev/null || bad=$((bad+1)); done; echo $i $bad`
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := run(context.Background(), "", "bin/kubectl", "--namespace="+s.name, "exec", client, "--", "sh", "-c", loop)
		done <- result{out, err}
	}()
	s.must("set", "env", "deployment/web", "VERSION=2")
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "undo", "deployment/web")
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("exec", client, "--", "touch", "/tmp/stop")
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	var asked, failed int
	if _, err := fmt.Sscan(r.out, &asked, &failed); err != nil || asked < 20 || failed > 0 {
		t.Errorf("%d requests, %d failed (%v)", asked, failed, err)
	}
	if env := s.must("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env}"); env != "" {
		t.Errorf("the rollback left %s", env)
	}
}

func TestStatefulSetKeepsNames(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: db, image: IMAGE, command: [sleep, "100000"]}]
`)
	s.must("rollout", "status", "statefulset/db", "--timeout=90s")
	uid := s.must("get", "pod", "db-1", "-o", "jsonpath={.metadata.uid}")
	s.must("delete", "pod", "db-1")
	s.until("a new db-1", func() (string, bool) {
		out, _ := s.try("get", "pod", "db-1", "-o", `jsonpath={.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}`)
		return out, strings.HasSuffix(out, "True") && !strings.HasPrefix(out, uid)
	})
	name := "db-0.db." + s.name + ".svc.cluster.local"
	if out := s.must("exec", "db-1", "--", "nslookup", name); !strings.Contains(out, name) {
		t.Errorf("%s does not resolve:\n%s", name, out)
	}
}

func TestJobsComplete(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: count}
spec:
  completions: 3
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: IMAGE, command: [sh, -c, "echo counted"]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: IMAGE, command: [date]}]
`)
	s.must("wait", "--for=condition=complete", "job/count", "--timeout=90s")
	if out := s.must("logs", "job/count"); out != "counted" {
		t.Errorf("log %q, want counted", out)
	}
	s.until("a job of the CronJob to succeed", func() (string, bool) {
		out, _ := s.try("get", "cronjob", "tick", "-o", "jsonpath={.status.lastSuccessfulTime}")
		return out, out != ""
	})
}
