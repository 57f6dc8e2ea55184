package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const good1 = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.5, ports: [{port: 80}]}
---
# nothing but a comment
---
apiVersion: batch/v1
kind: Job
metadata: {generateName: once-}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`

func TestGoodManifests(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", good1)
	write(t, dir, "deep/b.json", `{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"web"}}}`)
	write(t, dir, "README.md", "not a manifest")
	var out, errs bytes.Buffer
	if code := run([]string{"-f", dir}, nil, &out, &errs); code != good {
		t.Fatalf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	if out.Len() > 0 || !strings.Contains(errs.String(), "4 objects in 2 files: 0 faults") {
		t.Errorf("printed %q and %q", out.String(), errs.String())
	}
}

// A quantity that takes minutes to read is a fault, and told at once.
func TestExcessiveQuantities(t *testing.T) {
	path := write(t, t.TempDir(), "a.yaml", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: a}, spec: {hard: {cpu: "1e-100000000"}}}`)
	var out, errs bytes.Buffer
	if code := run([]string{"-f", path}, nil, &out, &errs); code != faulty {
		t.Errorf("exit code %d", code)
	}
	if want := `quantity "1e-100000000": must have`; !strings.Contains(out.String(), want) {
		t.Errorf("%q does not tell of %s", out.String(), want)
	}
}

func TestFaultsNameFileDocumentAndObject(t *testing.T) {
	path := write(t, t.TempDir(), "a.yaml", `
apiVersion: v1
kind: ConfigMap
metadata: {name: A_, colour: red}
---
apiVersion: v1
kind: List
items:
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: -1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: x}
---
apiVersion: v1
kind: Secret
metadata: {name: s, name: t}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w}
webhooks: [{name: a.b.c, clientConfig: {url: "https://a/b"}, sideEffects: None, admissionReviewVersions: [v1], matchConditions: [{name: a, expression: "x +"}]}]
`)
	var out, errs bytes.Buffer
	if code := run([]string{"-f", path}, nil, &out, &errs); code != faulty {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{
		path + `[1] ConfigMap/A_: unknown field "metadata.colour"`,
		path + `[1] ConfigMap/A_: metadata.name: Invalid value: "A_": a lowercase`,
		path + `[2].items[0] Deployment/web: spec.replicas: Invalid value: -1: must be greater than or equal to 0`,
		path + `[4] Secret/t: yaml: unmarshal errors:`,
		path + `[5] MutatingWebhookConfiguration/w: webhooks[0].matchConditions[0].expression: Invalid value: "x +": compilation failed`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if !strings.Contains(errs.String(), path+"[3]: Thing of example.com/v1 is not a built-in kind, not checked") {
		t.Errorf("no note of the foreign kind in\n%s", errs.String())
	}
}

func TestUse(t *testing.T) {
	foreign := "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\n"
	for _, tc := range []struct {
		name  string
		args  []string
		stdin string
		code  int
	}{
		{"nothing to check", nil, "", misuse},
		{"an unknown flag", []string{"--colour"}, "", misuse},
		{"a file that is not there", []string{"-f", "none.yaml"}, "", misuse},
		{"help", []string{"--help"}, "", good},
		{"standard input", []string{"-f", "-"}, good1, good},
		{"another namespace", []string{"-f", "-", "-n", "A_"}, good1, faulty},
		{"foreign kinds are let through", []string{"-f", "-", "-q"}, foreign, good},
		{"unless all must be known", []string{"-f", "-", "--require-known"}, foreign, faulty},
		{"what is no object", []string{"-f", "-"}, "just text", faulty},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(tc.args, strings.NewReader(tc.stdin), &out, &errs); code != tc.code {
				t.Errorf("exit code %d, want %d: %s%s", code, tc.code, out.String(), errs.String())
			}
		})
	}
}

// Items of a list of one kind are checked as if each stood alone.
func TestListsOfOneKind(t *testing.T) {
	path := write(t, t.TempDir(), "a.yaml", "apiVersion: v1\nkind: PodList\nitems:\n- {metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}\n- {metadata: {name: B}, spec: {containers: []}}\n")
	var out, errs bytes.Buffer
	code := run([]string{"-f", path}, nil, &out, &errs)
	for _, want := range []string{"a.yaml[1].items[1] Pod/B: metadata.name: Invalid value", "a.yaml[1].items[1] Pod/B: spec.containers: Required value"} {
		if code != faulty || !strings.Contains(out.String(), want) {
			t.Errorf("exit code %d, printed %q, want %q", code, out.String(), want)
		}
	}
	if !strings.Contains(errs.String(), "2 objects in 1 files: 2 faults") {
		t.Errorf("printed %q", errs.String())
	}
}

// What cannot be read does not hide the faults of what can.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, dir, "bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_}\n")
	var out, errs bytes.Buffer
	code := run([]string{"-f", filepath.Join(dir, "none.yaml"), "-f", bad, "-f", filepath.Join(dir, "no")}, nil, &out, &errs)
	if code != misuse || !strings.Contains(out.String(), "ConfigMap/A_: metadata.name") {
		t.Errorf("exit code %d, printed %q, want the fault of bad.yaml", code, out.String())
	}
	for _, want := range []string{"none.yaml: no such file", "no: no such file"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("printed %q, want %q", errs.String(), want)
		}
	}
}
