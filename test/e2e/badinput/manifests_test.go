package badinput

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kubectl talks to the cluster that is up.
func kubectl(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(), "bin/kubectl"), args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestWrongManifests: each object is refused with every fault at once (field, value, rule) and is not stored.
func TestWrongManifests(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("no cluster: KUBECONFIG is not set, make test-e2e brings one up")
	}
	const namespace = "badinput"
	if out, err := kubectl(t, "", "create", "namespace", namespace); err != nil {
		t.Fatal(out)
	}
	t.Cleanup(func() { _, _ = kubectl(t, "", "delete", "namespace", namespace, "--wait=false") })
	for _, tt := range []struct {
		resource, manifest string
		want               []string
	}{
		{"pods", `{apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {restartPolicy: Sometimes, containers: [
			{name: C_, image: x, ports: [{containerPort: 70000}], resources: {limits: {cpu: 1}, requests: {cpu: 2}}, livenessProbe: {periodSeconds: -1, exec: {}}},
			{name: d, image: "", volumeMounts: [{name: none, mountPath: ""}]}], volumes: [{name: v, configMap: {}}]}}`,
			[]string{`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"`,
				`spec.containers[0].name: Invalid value: "C_"`, `spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive`,
				`spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`, `spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0`,
				`spec.containers[0].livenessProbe.exec.command: Required value`, `spec.containers[1].image: Required value`, `spec.containers[1].volumeMounts[0].name: Not found: "none"`,
				`spec.containers[1].volumeMounts[0].mountPath: Required value`, `spec.volumes[0].configMap.name: Required value`}},
		{"services", `{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {type: Wide, sessionAffinity: Sometimes, clusterIP: 300.1.2.3, ports: [{port: 0, protocol: ICMP}, {port: 80, targetPort: 70000}]}}`,
			[]string{`spec.clusterIPs[0]: Invalid value: "300.1.2.3"`, `spec.type: Unsupported value: "Wide"`, `spec.sessionAffinity: Unsupported value: "Sometimes"`, `spec.ports[0].port: Invalid value: 0`, `spec.ports[0].protocol: Unsupported value: "ICMP"`,
				`spec.ports[0].name: Required value`, `spec.ports[1].targetPort: Invalid value: 70000`}},
		{"deployments", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: bad}, spec: {replicas: -1, minReadySeconds: -2, selector: {matchLabels: {app: a}}, strategy: {type: Slowly}, template: {metadata: {labels: {app: b}}, spec: {containers: []}}}}`,
			[]string{`spec.replicas: Invalid value: -1: must be greater than or equal to 0`, `spec.minReadySeconds: Invalid value: -2`, `spec.template.metadata.labels: Invalid value: {"app":"b"}`,
				`spec.strategy.type: Unsupported value: "Slowly"`, `spec.template.spec.containers: Required value`}},
		{"cronjobs", `{apiVersion: batch/v1, kind: CronJob, metadata: {name: bad}, spec: {schedule: "every day", concurrencyPolicy: Perhaps, timeZone: Nowhere/Land, jobTemplate: {spec: {completions: -1, template: {spec: {restartPolicy: Always, containers: [{name: c, image: x}]}}}}}}`,
			[]string{`spec.schedule: Invalid value: "every day"`, `spec.concurrencyPolicy: Unsupported value: "Perhaps"`, `spec.timeZone: Invalid value: "Nowhere/Land"`, `spec.jobTemplate.spec.completions: Invalid value: -1`, `spec.jobTemplate.spec.template.spec.restartPolicy`}},
		{"persistentvolumeclaims", `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: bad}, spec: {accessModes: [Sometimes], volumeMode: Tape, resources: {requests: {storage: -1Gi}}}}`,
			[]string{`spec.accessModes: Unsupported value: "Sometimes"`, `spec.volumeMode: Unsupported value: "Tape"`, `spec.resources.requests[storage]: Invalid value: "-1Gi"`}},
		{"ingresses", `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: bad}, spec: {rules: [{host: "B_", http: {paths: [{path: nowhere, pathType: Prefix, backend: {}}]}}]}}`,
			[]string{`spec.rules[0].host: Invalid value: "B_"`, `spec.rules[0].http.paths[0].path: Invalid value: "nowhere": must be an absolute path`, `spec.rules[0].http.paths[0].backend`}},
		{"networkpolicies", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: bad}, spec: {podSelector: {}, policyTypes: [Sideways], ingress: [{from: [{ipBlock: {cidr: nowhere}}], ports: [{port: 70000}]}]}}`,
			[]string{`spec.policyTypes[0]: Unsupported value: "Sideways"`, `spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "nowhere"`, `spec.ingress[0].ports[0].port: Invalid value: 70000`}},
		{"horizontalpodautoscalers", `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: bad}, spec: {minReplicas: -1, maxReplicas: 0, scaleTargetRef: {kind: Deployment}}}`,
			[]string{`spec.minReplicas: Invalid value: -1`, `spec.maxReplicas: Invalid value: 0`, `spec.scaleTargetRef.name: Required value`}},
		{"rolebindings", `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: bad}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Rule, name: ""}, subjects: [{kind: Robot, name: ""}]}`,
			[]string{`roleRef.kind: Unsupported value: "Rule"`, `roleRef.name: Required value`, `subjects[0].kind: Unsupported value: "Robot"`, `subjects[0].name: Required value`}},
		{"configmaps", `{apiVersion: v1, kind: ConfigMap, metadata: {name: bad, labels: {"a b": c}, annotations: {"/x": z}}, data: {"a/b": c}}`,
			[]string{`metadata.labels: Invalid value: "a b"`, `metadata.annotations: Invalid value: "/x"`, `data[a/b]: Invalid value: "a/b"`}},
	} {
		t.Run(tt.resource, func(t *testing.T) {
			out, err := kubectl(t, tt.manifest, "create", "--namespace="+namespace, "-f", "-")
			if err == nil {
				t.Fatal("it was accepted: " + out)
			}
			for _, w := range tt.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is missing in\n%s", w, out)
				}
			}
			if out, err := kubectl(t, "", "get", tt.resource, "bad", "--namespace="+namespace); err == nil || !strings.Contains(out, "NotFound") {
				t.Errorf("it may be stored: %s", out)
			}
		})
	}
	for manifest, want := range map[string]string{
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndate: {a: b}\n":                                              `unknown field "date"`,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {a: 1}\n":                                              "ConfigMap.data of type string",
		"apiVersion: v9\nkind: ConfigMap\nmetadata: {name: bad}\n":                                                            `no matches for kind "ConfigMap" in version "v9"`,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n":                                                       `metadata.name: Invalid value: "Bad_Name"`,
		"apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: [{name: c, image: x, ports: [{hostPort: a}]}]}": "hostPort",
	} {
		if out, err := kubectl(t, manifest, "create", "--namespace="+namespace, "-f", "-"); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s\nwant %q in: %s", manifest, want, out)
		}
	}
	if out, err := kubectl(t, "", "get", "all,configmaps", "--namespace="+namespace, "-o", "name"); err != nil || strings.Contains(out, "bad") {
		t.Errorf("something was stored: %s %v", out, err)
	}
}
