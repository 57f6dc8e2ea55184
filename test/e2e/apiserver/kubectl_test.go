package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"pilotis.dev/test/e2e/daemons"
)

// walkNamespace is the one that objects.yaml speaks of.
const walkNamespace = "walk"

// walk is a walk of kubectl through all resources. Each of its steps handles an object of every resource at once, as
// kubectl does with a file, and leaves its name in the label "step" of each.
type walk struct {
	*testing.T
	dir     string
	objects []walked
}

type walked struct {
	resource
	*unstructured.Unstructured
}

// kubectlName is how kubectl tells of the object.
func (o walked) kubectlName() string {
	name := strings.ToLower(o.GetKind())
	if g := o.gvr.Group; g != "" {
		name += "." + g
	}
	return name + "/" + o.GetName()
}

// kubectl runs the command in the walk's namespace.
func (w *walk) kubectl(env []string, input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), daemons.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, daemons.Program("kubectl"), append([]string{
		"--kubeconfig=" + shared.certificates.Kubeconfig("super-admin.conf"), "--namespace=" + walkNamespace, "--cache-dir=" + filepath.Join(w.dir, "cache"),
	}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(input)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if err != nil {
		said := slices.DeleteFunc(strings.Split(errOut.String(), "\n"), func(line string) bool { return strings.HasPrefix(line, "Warning: ") })
		err = fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, strings.Join(said, "\n"))
	}
	return out.String(), err
}

// manifest writes all objects with the label into a file.
func (w *walk) manifest(step string) string {
	w.Helper()
	var text bytes.Buffer
	for _, o := range w.objects {
		labelled := o.DeepCopy()
		labelled.SetLabels(map[string]string{"step": step})
		fmt.Fprintf(&text, "---\n%s", made(yaml.Marshal(labelled)).or(w.T))
	}
	path := filepath.Join(w.dir, step+".yaml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// says runs kubectl and wants a line for each object that ends so.
func (w *walk) says(end string, args ...string) {
	w.Helper()
	out, err := w.kubectl(nil, "", args...)
	if err != nil {
		w.Error(err)
	}
	lines := strings.Split(out, "\n")
	for _, o := range w.objects {
		if want := o.kubectlName() + end; !slices.Contains(lines, want) {
			w.Errorf("kubectl %s does not say %q", strings.Join(args, " "), want)
		}
	}
}

// labelled wants every object to have the label in the API.
func (w *walk) labelled(step string) {
	w.Helper()
	for _, o := range w.objects {
		got, err := shared.of(o.resource, walkNamespace).Get(w.Context(), o.GetName(), metav1.GetOptions{})
		if err != nil {
			w.Errorf("%s: %v", o.resource, err)
		} else if got.GetLabels()["step"] != step {
			w.Errorf("%s: the label is %q, want %q", o.resource, got.GetLabels()["step"], step)
		}
	}
}

// TestKubectlWalksDiscovery: create, get, describe, edit, patch, apply, wait, explain and delete work for each GA
// resource that discovery tells of.
func TestKubectlWalksDiscovery(t *testing.T) {
	t.Parallel()
	made(shared.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: walkNamespace}}, metav1.CreateOptions{})).or(t)
	shared.account(t, walkNamespace, "default")
	samples := documents(t, "objects.yaml")
	var all []walked
	for _, r := range whole(shared.discovered(t)) {
		if sample := samples[r.kindOf()]; sample != nil {
			all = append(all, walked{r, sample})
		}
	}
	// kubectl sends a few requests a second: several of them share the work.
	for part := range slices.Chunk(all, (len(all)+3)/4) {
		t.Run(part[0].Name+" to "+part[len(part)-1].Name, func(t *testing.T) {
			t.Parallel()
			(&walk{T: t, dir: t.TempDir(), objects: part}).run()
		})
	}
}

func (w *walk) run() {
	created := w.manifest("created")
	w.says(" created", "create", "-f", created)
	w.labelled("created")
	w.says("", "get", "-f", created, "-o", "name")
	w.tables(created)
	w.describe(created)
	w.edit(created)
	w.patch(created)
	w.apply()
	served := w.manifest("served")
	w.says(" serverside-applied", "apply", "--server-side", "--force-conflicts", "-f", served)
	w.labelled("served")
	w.says(" condition met", "wait", "--for=jsonpath={.metadata.labels.step}=served", "--timeout=20s", "-f", created)
	w.explain()
	w.remove(created)
}

// tables: what kubectl get prints for people, by the server's columns.
func (w *walk) tables(file string) {
	w.Helper()
	out, err := w.kubectl(nil, "", "get", "--show-labels", "-f", file)
	if err != nil {
		w.Error(err)
	}
	if rows := strings.Count(out, "step=created"); rows != len(w.objects) {
		w.Errorf("%d rows for %d objects:\n%s", rows, len(w.objects), out)
	}
}

func (w *walk) describe(file string) {
	w.Helper()
	out, err := w.kubectl(nil, "", "describe", "-f", file)
	if err != nil {
		w.Error(err)
	}
	if got := strings.Count("\n"+out, "\nName:"); got != len(w.objects) {
		w.Errorf("%d objects of %d are described", got, len(w.objects))
		for _, o := range w.objects {
			if out, err := w.kubectl(nil, "", "describe", o.Name+"."+o.gvr.Version+"."+o.gvr.Group, o.GetName()); err != nil || !strings.HasPrefix(out, "Name:") {
				w.Errorf("%s: %q, %v", o.resource, out, err)
			}
		}
	}
}

// edit replaces the label in an editor that is a script.
func (w *walk) edit(file string) {
	w.Helper()
	editor := filepath.Join(w.dir, "editor")
	if err := os.WriteFile(editor, []byte("#!/bin/sh\nexec sed -i 's/step: created/step: edited/' \"$1\"\n"), 0o700); err != nil {
		w.Fatal(err)
	}
	out, err := w.kubectl([]string{"KUBE_EDITOR=" + editor, "TMPDIR=" + w.dir}, "", "edit", "-f", file)
	if err != nil {
		w.Error(err)
		reasons, _ := filepath.Glob(filepath.Join(w.dir, "kubectl-edit-*")) // kubectl writes them at the head of the file
		for _, path := range reasons {
			for line := range strings.Lines(string(made(os.ReadFile(path)).or(w.T))) {
				if strings.HasPrefix(line, "# *") {
					w.Log(line)
				}
			}
		}
	}
	if got := strings.Count(out, " edited\n"); got != len(w.objects) {
		w.Errorf("%d objects of %d are edited:\n%s", got, len(w.objects), out)
	}
	w.labelled("edited")
}

func (w *walk) patch(file string) {
	w.Helper()
	for _, kind := range []string{"merge", "strategic", "json"} {
		patch := `{"metadata":{"labels":{"step":"` + kind + `"}}}`
		if kind == "json" {
			patch = `[{"op":"replace","path":"/metadata/labels/step","value":"json"}]`
		}
		w.says(" patched", "patch", "--type="+kind, "--patch="+patch, "-f", file)
		w.labelled(kind)
	}
}

// apply on the client: what was created otherwise is taken over, and nothing is written twice.
func (w *walk) apply() {
	file := w.manifest("applied")
	w.says(" configured", "apply", "-f", file)
	w.labelled("applied")
	before := w.versions()
	if _, err := w.kubectl(nil, "", "apply", "-f", file); err != nil {
		w.Error(err)
	}
	for name, version := range w.versions() {
		if version != before[name] {
			w.Errorf("%s is written again by the same apply", name)
		}
	}
}

// versions are the resource versions of all objects.
func (w *walk) versions() map[string]string {
	w.Helper()
	all := map[string]string{}
	for _, o := range w.objects {
		if got, err := shared.of(o.resource, walkNamespace).Get(w.Context(), o.GetName(), metav1.GetOptions{}); err == nil {
			all[o.kubectlName()] = got.GetResourceVersion()
		}
	}
	return all
}

func (w *walk) explain() {
	w.Helper()
	for _, o := range w.objects {
		out, err := w.kubectl(nil, "", "explain", o.Name, "--api-version="+o.gvr.GroupVersion().String())
		if err != nil || !strings.Contains(out, "KIND:       "+o.Kind+"\n") || !strings.Contains(out, "DESCRIPTION:\n") {
			w.Errorf("%s: %v\n%s", o.resource, err, out)
		}
	}
}

// remove deletes everything. Who takes finalizers away elsewhere are controllers.
func (w *walk) remove(file string) {
	w.Helper()
	out, err := w.kubectl(nil, "", "delete", "--wait=false", "-f", file)
	if err != nil {
		w.Error(err)
	}
	if got := strings.Count(out, "deleted"); got != len(w.objects) {
		w.Errorf("%d objects of %d are deleted:\n%s", got, len(w.objects), out)
	}
	for _, o := range w.objects {
		api := shared.of(o.resource, walkNamespace)
		got, err := api.Get(w.Context(), o.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || o.Kind == "CustomResourceDefinition" {
			continue
		}
		if err != nil || got.GetDeletionTimestamp() == nil {
			w.Errorf("%s: it is there still (%v)", o.resource, err)
			continue
		}
		if len(got.GetFinalizers()) > 0 {
			_, err = api.Patch(w.Context(), o.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		} else if o.Kind == "Namespace" {
			_, err = shared.client.CoreV1().Namespaces().Finalize(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetName()}}, metav1.UpdateOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			w.Errorf("%s: %v", o.resource, err)
		}
	}
	if _, err := w.kubectl(nil, "", "wait", "--for=delete", "--timeout=20s", "-f", file); err != nil {
		w.Error(err)
	}
	for _, o := range w.objects {
		if _, err := shared.of(o.resource, walkNamespace).Get(w.Context(), o.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			w.Errorf("%s: got %v after it was deleted", o.resource, err)
		}
	}
}

// TestKubectlAsks: what is answered rather than kept is created with kubectl too.
func TestKubectlAsks(t *testing.T) {
	t.Parallel()
	w := &walk{T: t, dir: t.TempDir()}
	shared.account(t, "default", "default")
	made(shared.client.CoreV1().Pods("default").Create(t.Context(), podObject("bound", ""), metav1.CreateOptions{})).or(t)
	questions := documents(t, "questions.yaml")
	for _, gvk := range slices.SortedFunc(maps.Keys(questions), func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) }) {
		out, err := w.kubectl(nil, string(made(yaml.Marshal(questions[gvk])).or(t)), "create", "--namespace=default", "-f", "-", "-o", "yaml")
		if err != nil || !strings.Contains(out, "status:") {
			t.Errorf("%s: %v\n%s", gvk, err, out)
		}
	}
	if p := made(shared.client.CoreV1().Pods("default").Get(t.Context(), "bound", metav1.GetOptions{})).or(t); p.Spec.NodeName != "walk" {
		t.Errorf("the Binding did nothing: the pod's node is %q", p.Spec.NodeName)
	}
	for _, verb := range []string{"get", "describe"} {
		if out, err := w.kubectl(nil, "", verb, "componentstatuses"); err != nil || !strings.Contains(out, "etcd-0") {
			t.Errorf("%s componentstatuses: %v\n%s", verb, err, out)
		}
	}
}
