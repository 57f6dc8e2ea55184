package gated

import (
	"errors"
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/component-base/featuregate"
	"k8s.io/utils/ptr"
)

func known(t *testing.T, on ...featuregate.Feature) featuregate.FeatureGate {
	t.Helper()
	g := featuregate.NewFeatureGate()
	err := g.Add(map[featuregate.Feature]featuregate.FeatureSpec{features.CoordinatedLeaderElection: {PreRelease: featuregate.Beta}})
	if err == nil {
		err = Add(g)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range on {
		if err := g.SetFromMap(map[string]bool{string(name): true}); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// A name in the table that is no field any more would leave a field open to all.
func TestFieldsAreFields(t *testing.T) {
	for _, g := range table() {
		for _, f := range g.fields {
			sf, ok := f.holder.FieldByName(f.name)
			if !ok {
				t.Errorf("%s: %s has no field %s", g.name, f.holder, f.name)
				continue
			}
			if f.part == "" {
				continue
			}
			if sf.Type.Kind() != reflect.Pointer {
				t.Errorf("%s: %s.%s is no pointer", g.name, f.holder, f.name)
			} else if _, ok := sf.Type.Elem().FieldByName(f.part); !ok {
				t.Errorf("%s: %s.%s has no field %s", g.name, f.holder, f.name, f.part)
			}
		}
	}
}

// user is a deployment whose pods use two alpha fields, deep in lists.
func user() *appsv1.Deployment {
	d := &appsv1.Deployment{}
	d.Spec.Template.Spec = corev1.PodSpec{
		Volumes: []corev1.Volume{
			{Name: "a"}, {Name: "b", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Mode: ptr.To[int32](0o700), Medium: "Memory"}}},
		},
		Containers: []corev1.Container{{Name: "c", LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/", Protocol: ptr.To(corev1.HTTPProtocolHTTP2)}}}}},
	}
	return d
}

func TestFieldsOfClosedGatesAreDropped(t *testing.T) {
	mode := func(d *appsv1.Deployment) *int32 { return d.Spec.Template.Spec.Volumes[1].EmptyDir.Mode }
	probe := func(d *appsv1.Deployment) *corev1.HTTPGetAction {
		return d.Spec.Template.Spec.Containers[0].LivenessProbe.HTTPGet
	}
	off := NewOff(known(t)).In(&appsv1.Deployment{})
	d := user()
	off.Drop(d, nil)
	if mode(d) != nil || probe(d).Protocol != nil {
		t.Errorf("a new object keeps %v and %v", mode(d), probe(d).Protocol)
	}
	if d.Spec.Template.Spec.Volumes[1].EmptyDir.Medium != "Memory" || probe(d).Path != "/" {
		t.Errorf("more was dropped: %+v", d.Spec)
	}
	old := user()
	probe(old).Protocol = nil
	d = user()
	off.Drop(d, old)
	if mode(d) == nil || probe(d).Protocol != nil {
		t.Errorf("an object that has the one field has %v and %v", mode(d), probe(d).Protocol)
	}
	d = user()
	NewOff(known(t, "EmptyDirVolumeMode", "H2CContainerProbe")).In(&appsv1.Deployment{}).Drop(d, nil)
	if mode(d) == nil || probe(d).Protocol == nil {
		t.Errorf("with the gates open it has %v and %v", mode(d), probe(d).Protocol)
	}
}

// Values of maps, templates within templates, and a reference that is no longer what it says without its part.
func TestFieldsAreFoundEverywhere(t *testing.T) {
	gates := NewOff(known(t))
	slice := &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{Devices: []resourcev1.Device{{Name: "d", Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{
		"models": {StringValues: []string{"a"}}, "size": {IntValue: ptr.To[int64](1)}}}}}}
	gates.In(slice).Drop(slice, nil)
	attributes := slice.Spec.Devices[0].Attributes
	if len(attributes) != 2 || attributes["models"].StringValues != nil || attributes["size"].IntValue == nil {
		t.Errorf("attributes: %+v", attributes)
	}

	never := ptr.To(schedulingv1alpha3.PreemptionPolicy("Never"))
	inner := schedulingv1alpha3.CompositePodGroupTemplate{Name: "i", PodGroupTemplates: []schedulingv1alpha3.PodGroupTemplate{{Name: "g", PreemptionPolicy: never}}}
	w := &schedulingv1alpha3.Workload{Spec: schedulingv1alpha3.WorkloadSpec{CompositePodGroupTemplates: []schedulingv1alpha3.CompositePodGroupTemplate{
		{Name: "o", CompositePodGroupTemplates: []schedulingv1alpha3.CompositePodGroupTemplate{inner}}}}}
	NewOff(known(t, CompositePodGroup)).In(w).Drop(w, nil)
	if got := w.Spec.CompositePodGroupTemplates[0].CompositePodGroupTemplates[0].PodGroupTemplates[0]; got.Name != "g" || got.PreemptionPolicy != nil {
		t.Errorf("template: %+v", got)
	}

	for namespace, kept := range map[string]bool{"": true, "other": false} {
		c := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{Kind: "VolumeSnapshot", Name: "s"}}}
		if namespace != "" {
			c.Spec.DataSourceRef.Namespace = &namespace
		}
		gates.In(c).Drop(c, nil)
		if (c.Spec.DataSourceRef != nil) != kept {
			t.Errorf("a data source in namespace %q: %+v", namespace, c.Spec.DataSourceRef)
		}
	}
	if off := gates.In(&corev1.ConfigMap{}); off != nil {
		t.Error("config maps have a gated field")
	}
}

func BenchmarkDrop(b *testing.B) {
	g := featuregate.NewFeatureGate()
	if err := g.Add(map[featuregate.Feature]featuregate.FeatureSpec{features.CoordinatedLeaderElection: {PreRelease: featuregate.Beta}}); err != nil {
		b.Fatal(err)
	}
	if err := Add(g); err != nil {
		b.Fatal(err)
	}
	d := user()
	off := NewOff(g).In(d)
	off.Drop(d, nil)
	b.ReportAllocs()
	for b.Loop() {
		off.Drop(d, nil)
	}
}

// A beta feature is on unless somebody switches it off; then its fields are dropped.
func TestBetasCanBeSwitchedOff(t *testing.T) {
	pod := func() *corev1.Pod { return &corev1.Pod{Spec: corev1.PodSpec{HostnameOverride: ptr.To("h")}} }
	p := pod()
	NewOff(known(t)).In(p).Drop(p, nil)
	if p.Spec.HostnameOverride == nil {
		t.Error("the field is dropped by default")
	}
	g := featuregate.NewFeatureGate()
	if err := errors.Join(g.Add(map[featuregate.Feature]featuregate.FeatureSpec{features.CoordinatedLeaderElection: {PreRelease: featuregate.Beta}}),
		Add(g), g.Set("HostnameOverride=false")); err != nil {
		t.Fatal(err)
	}
	NewOff(g).In(p).Drop(p, nil)
	if p.Spec.HostnameOverride != nil {
		t.Error("the gate is off, and the field is kept")
	}
	p = pod()
	if NewOff(g).In(p).Drop(p, pod()); p.Spec.HostnameOverride == nil {
		t.Error("an object that has the field loses it")
	}
}
