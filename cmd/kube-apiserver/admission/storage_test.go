package admission

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

func storageClass(name string, isDefault bool, made time.Time, expand bool) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(made)}, AllowVolumeExpansion: &expand}
	if isDefault {
		c.Annotations = map[string]string{defaultStorageClassAnnotation: "true"}
	}
	return c
}

func TestDefaultStorageClass(t *testing.T) {
	then := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	later := then.Add(time.Hour)
	for _, tc := range []struct {
		name    string
		classes []runtime.Object
		own     *string
		want    *string
	}{
		{"no default", []runtime.Object{storageClass("a", false, then, false)}, nil, nil},
		{"one", []runtime.Object{storageClass("a", true, then, false), storageClass("b", false, later, false)}, nil, ptr("a")},
		{"newest of two", []runtime.Object{storageClass("a", true, then, false), storageClass("b", true, later, false)}, nil, ptr("b")},
		{"first name of the same age", []runtime.Object{storageClass("b", true, then, false), storageClass("a", true, then, false)}, nil, ptr("a")},
		{"own", []runtime.Object{storageClass("a", true, then, false)}, ptr("x"), ptr("x")},
		{"none on purpose", []runtime.Object{storageClass("a", true, then, false)}, ptr(""), ptr("")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _ := prepared(t, made(t)(newDefaultStorageClass(nil)), nil, tc.classes...)
			c := &corev1.PersistentVolumeClaim{ObjectMeta: objectMeta("c"), Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: tc.own}}
			expect(t, send(t, p, req{resource: "persistentvolumeclaims", obj: c}), "")
			if got := c.Spec.StorageClassName; (got == nil) != (tc.want == nil) || (got != nil && *got != *tc.want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestDefaultIngressClass(t *testing.T) {
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx", Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}}}
	p, _ := prepared(t, made(t)(newDefaultIngressClass(nil)), nil, class)
	plain, old := &networkingv1.Ingress{ObjectMeta: objectMeta("a")}, &networkingv1.Ingress{ObjectMeta: objectMeta("b")}
	old.Annotations = map[string]string{formerIngressClassAnnotation: "x"}
	for _, i := range []*networkingv1.Ingress{plain, old} {
		expect(t, send(t, p, req{resource: "networking.k8s.io/ingresses", obj: i}), "")
	}
	if plain.Spec.IngressClassName == nil || *plain.Spec.IngressClassName != "nginx" || old.Spec.IngressClassName != nil {
		t.Errorf("got %v and %v", plain.Spec.IngressClassName, old.Spec.IngressClassName)
	}
}

func TestStorageObjectInUse(t *testing.T) {
	p := made(t)(newStorageInUse(nil))
	for resource, obj := range map[string]interface {
		runtime.Object
		metav1.Object
	}{
		"persistentvolumes":                      &corev1.PersistentVolume{},
		"persistentvolumeclaims":                 &corev1.PersistentVolumeClaim{},
		"storage.k8s.io/volumeattributesclasses": &storagev1.VolumeAttributesClass{},
	} {
		for range 2 { // a second pass adds nothing
			expect(t, send(t, p, req{resource: resource, obj: obj}), "")
		}
		want := map[string]string{
			"persistentvolumes": "kubernetes.io/pv-protection", "persistentvolumeclaims": "kubernetes.io/pvc-protection",
			"storage.k8s.io/volumeattributesclasses": "kubernetes.io/vac-protection",
		}[resource]
		if !slices.Equal(obj.GetFinalizers(), []string{want}) {
			t.Errorf("%s: %v", resource, obj.GetFinalizers())
		}
	}
}

func TestClaimResize(t *testing.T) {
	claim := func(size, class string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: objectMeta("c")}
		c.Spec.StorageClassName = &class
		c.Spec.Resources.Requests = corev1.ResourceList{"storage": resource.MustParse(size)}
		c.Status.Phase = phase
		return c
	}
	p, _ := prepared(t, made(t)(newClaimResize(nil)), nil, storageClass("grows", false, time.Time{}, true), storageClass("fixed", false, time.Time{}, false))
	for _, tc := range []struct {
		old, obj *corev1.PersistentVolumeClaim
		want     string
	}{
		{claim("1Gi", "grows", corev1.ClaimBound), claim("2Gi", "grows", corev1.ClaimBound), ""},
		{claim("1Gi", "fixed", corev1.ClaimBound), claim("1Gi", "fixed", corev1.ClaimBound), ""},
		{claim("1Gi", "fixed", corev1.ClaimBound), claim("2Gi", "fixed", corev1.ClaimBound), "only dynamically provisioned pvc can be resized"},
		{claim("1Gi", "", corev1.ClaimBound), claim("2Gi", "", corev1.ClaimBound), "only dynamically provisioned pvc can be resized"},
		{claim("1Gi", "grows", corev1.ClaimPending), claim("2Gi", "grows", corev1.ClaimPending), "Only bound persistent volume claims can be expanded"},
	} {
		expect(t, send(t, p, req{resource: "persistentvolumeclaims", op: admission.Update, obj: tc.obj, old: tc.old}), tc.want)
	}
}
