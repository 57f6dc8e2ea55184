package api

import (
	"math/rand"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/utils/ptr"
)

func types(t *testing.T) *Types {
	t.Helper()
	out, err := NewTypes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An object that goes through storage comes back as it was, in protobuf and JSON, without apiVersion and kind.
func TestStorageRoundTrip(t *testing.T) {
	ty := types(t)
	in := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: "n"}}
	for _, media := range []string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON} {
		codec, _, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
			StorageMediaType: media, StorageSerializer: ty.Codecs, StorageVersion: corev1.SchemeGroupVersion,
			MemoryVersion: schema.GroupVersion{Version: runtime.APIVersionInternal},
		})
		if err != nil {
			t.Fatal(err)
		}
		data, err := runtime.Encode(codec, in)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := stripCodec{codec}.Decode(data, nil, &corev1.Pod{})
		if err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(in, out) {
			t.Errorf("%s: got %+v", media, out)
		}
	}
	if in.Kind != "" {
		t.Errorf("encoding left kind %q in the object", in.Kind)
	}
}

// Both shapes of an Event say the same.
func TestEventRoundTrip(t *testing.T) {
	ty := types(t)
	now := metav1.NewTime(time.Unix(1700000000, 0))
	in := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e", Annotations: map[string]string{"a": "b"}}, InvolvedObject: corev1.ObjectReference{Name: "o"},
		Reason: "r", Message: "m", Source: corev1.EventSource{Component: "c"}, FirstTimestamp: now, LastTimestamp: now, Count: 3, Type: "Normal",
		EventTime: metav1.NewMicroTime(now.Time), Series: &corev1.EventSeries{Count: 2, LastObservedTime: metav1.NewMicroTime(now.Time)},
		Action: "act", Related: &corev1.ObjectReference{Name: "x"}, ReportingController: "rc", ReportingInstance: "ri",
	}
	mid, out := &eventsv1.Event{}, &corev1.Event{}
	if err := ty.Scheme.Convert(in, mid, nil); err != nil {
		t.Fatal(err)
	}
	if err := ty.Scheme.Convert(mid, out, nil); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(in, out) {
		t.Errorf("got %+v", out)
	}
}

// A client of autoscaling/v1 that writes back what it read loses nothing of v2.
func TestAutoscalerRoundTrip(t *testing.T) {
	ty := types(t)
	q := resource.MustParse("10")
	target := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &q}
	in := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "h", Annotations: map[string]string{"own": "1"}},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "d", APIVersion: "apps/v1"},
			MinReplicas:    ptr.To[int32](2), MaxReplicas: 9,
			Metrics: []autoscalingv2.MetricSpec{
				{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "rps"}, Target: target}},
				{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](60)}}},
			},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](5)}},
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{
			CurrentReplicas: 2, Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionTrue}},
		},
	}
	mid, out := &autoscalingv1.HorizontalPodAutoscaler{}, &autoscalingv2.HorizontalPodAutoscaler{}
	if err := ty.Scheme.Convert(in, mid, nil); err != nil {
		t.Fatal(err)
	}
	if *mid.Spec.TargetCPUUtilizationPercentage != 60 || len(in.Annotations) != 1 {
		t.Errorf("v1: %+v; the source has annotations %v", mid.Spec, in.Annotations)
	}
	if err := ty.Scheme.Convert(mid, out, nil); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(in, out) {
		t.Errorf("got %+v", out)
	}
	mid.Annotations[metricsAnnotation] = "no JSON"
	if err := ty.Scheme.Convert(mid, out, nil); err == nil {
		t.Error("an annotation that is no JSON was accepted")
	}
}

// The options of connections come from the query.
func TestQuery(t *testing.T) {
	ty := types(t)
	log := &corev1.PodLogOptions{}
	err := ty.Parameters.DecodeParameters(url.Values{"container": {"c"}, "follow": {"true"}, "tailLines": {"3"}, "sinceTime": {"2026-01-02T03:04:05Z"}, "stream": {"Stderr"}},
		corev1.SchemeGroupVersion, log)
	if err != nil || log.Container != "c" || !log.Follow || *log.TailLines != 3 || log.SinceTime.Year() != 2026 || *log.Stream != "Stderr" {
		t.Errorf("log: %+v %v", log, err)
	}
	exec := &corev1.PodExecOptions{}
	err = ty.Parameters.DecodeParameters(url.Values{"command": {"sh", "-c"}, "stdin": {"1"}, "tty": {"true"}}, corev1.SchemeGroupVersion, exec)
	if err != nil || !reflect.DeepEqual(exec.Command, []string{"sh", "-c"}) || !exec.Stdin || !exec.TTY || exec.Stdout {
		t.Errorf("exec: %+v %v", exec, err)
	}
	ports := &corev1.PodPortForwardOptions{}
	if err = ty.Parameters.DecodeParameters(url.Values{"ports": {"80,443"}}, corev1.SchemeGroupVersion, ports); err != nil || len(ports.Ports) != 2 {
		t.Errorf("ports: %+v %v", ports, err)
	}
	if err = ty.Parameters.DecodeParameters(url.Values{"tailLines": {"many"}}, corev1.SchemeGroupVersion, log); err == nil {
		t.Error("tailLines=many was accepted")
	}
}

func TestFieldLabels(t *testing.T) {
	ty := types(t)
	for _, tt := range []struct {
		kind      schema.GroupVersionKind
		label, as string
		unknown   bool
	}{
		{corev1.SchemeGroupVersion.WithKind("Pod"), "spec.nodeName", "spec.nodeName", false},
		{corev1.SchemeGroupVersion.WithKind("Pod"), "spec.host", "spec.nodeName", false},
		{corev1.SchemeGroupVersion.WithKind("Pod"), "spec.color", "", true},
		{corev1.SchemeGroupVersion.WithKind("ConfigMap"), "metadata.name", "metadata.name", false},
		{corev1.SchemeGroupVersion.WithKind("ConfigMap"), "data", "", true},
		{eventsv1.SchemeGroupVersion.WithKind("Event"), "regarding.name", "involvedObject.name", false},
	} {
		got, _, err := ty.Scheme.ConvertFieldLabel(tt.kind, tt.label, "x")
		if got != tt.as || (err != nil) != tt.unknown {
			t.Errorf("%s %s: got %q %v", tt.kind.Kind, tt.label, got, err)
		}
	}
}

func BenchmarkStorageDecode(b *testing.B) {
	ty, err := NewTypes()
	if err != nil {
		b.Fatal(err)
	}
	codec, _, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType: runtime.ContentTypeProtobuf, StorageSerializer: ty.Codecs, StorageVersion: corev1.SchemeGroupVersion,
		MemoryVersion: schema.GroupVersion{Version: runtime.APIVersionInternal},
	})
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewSource(1))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{}}}
	for range 20 {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: string(rune('a' + random.Intn(26))), Image: "example.com/i", Command: []string{"x", "y"}})
	}
	data, err := runtime.Encode(codec, pod)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := (stripCodec{codec}).Decode(data, nil, &corev1.Pod{}); err != nil {
			b.Fatal(err)
		}
	}
}

// Each version of each kind that is stored says all that the others say: what a client of one reads and writes back loses
// nothing. Objects are filled at random, as far as both shapes have a field.
func TestVersionsSayTheSame(t *testing.T) {
	ty := types(t)
	tried := 0
	for _, g := range groups() {
		if g.convert != nil {
			continue
		}
		for _, v := range g.versions {
			for kind, version := range ty.Scheme.KnownTypes(v.GroupVersion) {
				hub := ty.Scheme.KnownTypes(schema.GroupVersion{Group: v.Group, Version: runtime.APIVersionInternal})[kind]
				if ofMachinery(version) || hub == version {
					continue
				}
				if hub == nil {
					t.Errorf("%s has no hub", v.WithKind(kind))
					continue
				}
				tried++
				for seed := range int64(100) {
					in, mid, out := reflect.New(hub), reflect.New(version), reflect.New(hub)
					fill(in.Elem(), rand.New(rand.NewSource(seed)), 0)
					if err := ty.Scheme.Convert(in.Interface(), mid.Interface(), nil); err != nil {
						t.Fatalf("%s: %v", v.WithKind(kind), err)
					}
					if err := ty.Scheme.Convert(mid.Interface(), out.Interface(), nil); err != nil {
						t.Fatalf("%s: %v", v.WithKind(kind), err)
					}
					if !equality.Semantic.DeepEqual(in.Interface(), out.Interface()) {
						t.Fatalf("%s, seed %d:\n%+v\nbecame\n%+v", v.WithKind(kind), seed, in.Elem(), out.Elem())
					}
				}
			}
		}
	}
	if tried < 30 {
		t.Errorf("only %d kinds and lists have another version than their hub's", tried)
	}
}

// fill writes random values to a type of API. Pointers are never to empty values, which some versions cannot tell from none.
func fill(v reflect.Value, r *rand.Rand, depth int) {
	switch x := v.Addr().Interface().(type) {
	case *metav1.TypeMeta:
		return
	case *metav1.ObjectMeta:
		*x = metav1.ObjectMeta{Name: "o", Labels: map[string]string{"l": "v"}}
		return
	case *resource.Quantity:
		*x = *resource.NewQuantity(r.Int63n(100)+1, resource.DecimalSI)
		return
	case *metav1.Time:
		*x = metav1.Unix(r.Int63n(1<<30), 0)
		return
	case *metav1.MicroTime:
		*x = metav1.NewMicroTime(time.Unix(r.Int63n(1<<30), 0))
		return
	case *runtime.RawExtension:
		x.Raw = []byte(`{"a":1}`)
		return
	}
	some := depth < 12 && r.Intn(4) > 0
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), r, depth+1)
		}
	case reflect.Pointer:
		if some {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), r, depth+1)
		}
	case reflect.Slice:
		if some {
			v.Set(reflect.MakeSlice(v.Type(), 1+r.Intn(2), 2))
			for i := range v.Len() {
				fill(v.Index(i), r, depth+1)
			}
		}
	case reflect.Map:
		if some {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, r, depth+1)
			fill(value, r, depth+1)
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(string(rune('a' + r.Intn(26))))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(1 + r.Int63n(100))
	case reflect.Uint8:
		v.SetUint(uint64(1 + r.Intn(200)))
	}
}

// What this release no longer serves is not known, and what it serves is: k8s.io/api has types of both.
func TestRemovedKindsAreUnknown(t *testing.T) {
	ty := types(t)
	for kind, want := range map[string]bool{
		"MutatingAdmissionPolicy.v1beta1.admissionregistration.k8s.io":   true,
		"ValidatingAdmissionPolicy.v1beta1.admissionregistration.k8s.io": false, // removed in 1.34
		"LeaseCandidate.v1alpha2.coordination.k8s.io":                    true,
		"Lease.v1beta1.coordination.k8s.io":                              false,
		"Workload.v1beta1.scheduling.k8s.io":                             true,
		"PriorityClass.v1beta1.scheduling.k8s.io":                        false,
	} {
		gvk, _ := schema.ParseKindArg(kind)
		if got := ty.Served.Recognizes(*gvk); got != want {
			t.Errorf("%s is served: %v", kind, got)
		}
	}
}

// A request of certificates.k8s.io/v1beta1 that means the fields of old is told so.
func TestOldCertificateRequestsAreRefused(t *testing.T) {
	in := &certificatesv1beta1.PodCertificateRequest{Spec: certificatesv1beta1.PodCertificateRequestSpec{PKIXPublicKey: []byte("key")}}
	err := types(t).Scheme.Convert(in, &certificatesv1.PodCertificateRequest{}, nil)
	if err == nil || !strings.Contains(err.Error(), "give spec.stubPKCS10Request") {
		t.Errorf("got %v", err)
	}
}
