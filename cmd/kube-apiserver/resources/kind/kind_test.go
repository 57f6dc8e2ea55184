package kind

import (
	"slices"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type rc = *corev1.ReplicationController

func sample() *Kind[rc] {
	return &Kind[rc]{
		Resource: "replicationcontrollers", Singular: "replicationcontroller",
		New:        func() rc { return &corev1.ReplicationController{} },
		NewList:    func() runtime.Object { return &corev1.ReplicationControllerList{} },
		Spec:       Field(func(o rc) *corev1.ReplicationControllerSpec { return &o.Spec }),
		Status:     Field(func(o rc) *corev1.ReplicationControllerStatus { return &o.Status }),
		Generation: true,
		Columns:    Columns([]Column[rc]{Name[rc](), Number("Current", func(o rc) int32 { return o.Status.Replicas })}, Wide(Text("More", func(rc) string { return "x" }))),
	}
}

func object(replicas, observed int32) rc {
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "o", Generation: 4},
		Spec:       corev1.ReplicationControllerSpec{Replicas: &replicas},
		Status:     corev1.ReplicationControllerStatus{Replicas: observed},
	}
}

func rulesOf() Rules {
	none := func(_, _ runtime.Object) field.ErrorList { return nil }
	return Rules{Create: func(runtime.Object) field.ErrorList { return nil }, Update: none, StatusUpdate: none}
}

// The main resource sets the spec and counts its changes, the status subresource sets the status, neither the other's.
func TestWhoMaySetWhat(t *testing.T) {
	k := sample()
	s := strategy[rc]{kind: k, rules: rulesOf()}
	created := object(2, 9)
	s.PrepareForCreate(t.Context(), created)
	if created.Status.Replicas != 0 || created.Generation != 1 || *created.Spec.Replicas != 2 {
		t.Errorf("created: %+v", created)
	}
	for _, tt := range []struct {
		replicas   int32
		generation int64
	}{{2, 4}, {3, 5}} {
		updated := object(tt.replicas, 9)
		s.PrepareForUpdate(t.Context(), updated, object(2, 1))
		if updated.Status.Replicas != 1 || updated.Generation != tt.generation {
			t.Errorf("updated to %d replicas: %+v", tt.replicas, updated)
		}
	}
	status := object(7, 9)
	statusStrategy[rc]{s}.PrepareForUpdate(t.Context(), status, object(2, 1))
	if *status.Spec.Replicas != 2 || status.Status.Replicas != 9 || status.Generation != 4 {
		t.Errorf("status update: %+v", status)
	}
}

// Server-side apply does not own what is thrown away.
func TestResetFields(t *testing.T) {
	k := sample()
	k.Group, k.Versions = "example.com", []string{"v2", "v1"}
	main := strategy[rc]{kind: k}.GetResetFields()
	status := statusStrategy[rc]{strategy[rc]{kind: k}}.GetResetFields()
	for _, v := range []string{"example.com/v1", "example.com/v2"} {
		if got := main[fieldVersion(v)].String(); got != ".status" {
			t.Errorf("%s: main resource resets %q", v, got)
		}
		if got := status[fieldVersion(v)].String(); got != ".spec" {
			t.Errorf("%s: status resets %q", v, got)
		}
	}
	k.StatusResets = []string{"labels"}
	got := statusStrategy[rc]{strategy[rc]{kind: k}}.GetResetFields()[fieldVersion("example.com/v1")]
	if want := fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata", "labels")); !got.Equals(want) {
		t.Errorf("status that takes labels back resets %s", got)
	}
}

func TestPodWarnings(t *testing.T) {
	env := []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}, {Name: "A", Value: "$(A)"}, {Name: "A", Value: "$(A)/more"}, {Name: "B"}}
	o := object(1, 1)
	o.Spec.Template = &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Env: env[:2]}}, Containers: []corev1.Container{{}, {Env: env}},
	}}
	warnings := TemplateWarnings(func(o rc) *corev1.PodTemplateSpec { return o.Spec.Template }, "spec", "template")
	const hides = `: hides previous definition of "A", which may be dropped when using apply`
	want := []string{
		"spec.template.spec.initContainers[0].env[1]" + hides, "spec.template.spec.containers[1].env[1]" + hides, "spec.template.spec.containers[1].env[2]" + hides,
	}
	if got := warnings(t.Context(), o, nil); !slices.Equal(got, want) {
		t.Errorf("created: %q", got)
	}
	if got := warnings(t.Context(), o, o); got != nil {
		t.Errorf("nothing changed: %q", got)
	}
}

func TestTable(t *testing.T) {
	k := sample()
	list := &corev1.ReplicationControllerList{ListMeta: metav1.ListMeta{ResourceVersion: "5"}, Items: []corev1.ReplicationController{*object(1, 1), *object(1, 2)}}
	got, err := k.table().ConvertToTable(t.Context(), list, &metav1.TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.ResourceVersion != "5" || len(got.Rows) != 2 || len(got.ColumnDefinitions) != 3 || got.ColumnDefinitions[2].Priority != 1 {
		t.Errorf("table: %+v", got)
	}
	if got.Rows[1].Cells[0] != "o" || got.Rows[1].Cells[1] != int64(2) {
		t.Errorf("row: %v", got.Rows[1].Cells)
	}
	if got, err = k.table().ConvertToTable(t.Context(), object(1, 1), &metav1.TableOptions{NoHeaders: true}); err != nil || len(got.Rows) != 1 || got.ColumnDefinitions != nil {
		t.Errorf("one object without headers: %+v %v", got, err)
	}
	if _, err = k.table().ConvertToTable(t.Context(), &corev1.Pod{}, nil); err == nil {
		t.Error("a pod was printed as a replication controller")
	}
}

func fieldVersion(v string) fieldpath.APIVersion { return fieldpath.APIVersion(v) }
