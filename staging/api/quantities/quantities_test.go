package quantities_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	"sigs.k8s.io/yaml"

	"pilotis.dev/api/quantities"
)

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"1e-10000000","annotations":{"a":"1e-10000000","b":"9e999999"}},"spec":{"containers":[{"name":"c","image":"i@sha256:5e123456e7890","resources":{"limits":{"cpu":"LIMIT","memory":"1Gi"}}}]}}`

func serializers(t testing.TB) map[string]runtime.Serializer {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	all := map[string]runtime.Serializer{"application/cbor": quantities.GuardSerializer("application/cbor", cbor.NewSerializer(scheme, scheme))}
	for _, info := range quantities.Guard(serializer.NewCodecFactory(scheme).WithoutConversion()).SupportedMediaTypes() {
		all[info.MediaType] = info.Serializer
		all[info.MediaType+" strict"] = info.StrictSerializer
	}
	return all
}

// Every way to write a quantity that takes long is refused at once, with its value.
func TestExcessiveIsRefused(t *testing.T) {
	nines := strings.Repeat("9", 1_000_000)
	encoded := base64.StdEncoding.EncodeToString([]byte("1e-10000000"))
	for name, c := range map[string]struct{ form, limit string }{
		"small":             {"application/json", `"1e-10000000"`},
		"small, strictly":   {"application/json strict", `"1e-10000000"`},
		"large":             {"application/json", `"+1E10000000"`},
		"a number":          {"application/json", `1e-10000000`},
		"spaces":            {"application/json", `" 1e-10000000 "`},
		"escaped spaces":    {"application/json", `"\u000a1e-10000000"`},
		"a tab":             {"application/json", `"\t1e-10000000\n"`},
		"an escaped e":      {"application/json", `"1\u0065-10000000"`},
		"an escaped digit":  {"application/json", `"1e-\u00310000000"`},
		"leading zeros":     {"application/json", `"1e-0000010000000"`},
		"twice":             {"application/json", `"1e-10000000","cpu":"1"`},
		"many digits":       {"application/json", `"` + nines + `"`},
		"many small digits": {"application/json", `"0.` + nines + `"`},
		"many of them, Ki":  {"application/json", `"` + nines + `Ki"`},
		"YAML":              {"application/yaml", `"1e-10000000"`},
		"plain YAML":        {"application/yaml", `!!str 1e-10000000`},
		"YAML's escape":     {"application/yaml", `"1\x65-10000000"`},
		"YAML's line break": {"application/yaml", "\"1e-10\\\n  000000\""},
		"YAML's binary":     {"application/yaml", `!!binary ` + encoded},
		"YAML's anchor":     {"application/yaml strict", `&a "1e-10000000"`},
	} {
		s := serializers(t)[c.form]
		began := time.Now()
		_, _, err := s.Decode([]byte(strings.Replace(pod, `"LIMIT"`, c.limit, 1)), nil, nil)
		var refused *quantities.Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"1e-10000000", "1111111111111111011111111E111111110", strings.Repeat("9", 1_000_000)} {
		var refused *quantities.Error
		if _, err := quantities.Parse(text); !errors.As(err, &refused) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	if q, err := quantities.Parse("100Mi"); err != nil || q.Value() != 100<<20 {
		t.Errorf("100Mi is %v: %v", q.Value(), err)
	}
}

func TestUTF16(t *testing.T) {
	text := []byte{0xff, 0xfe}
	for _, c := range []byte(strings.Replace(pod, "LIMIT", "1e-10000000", 1)) {
		text = append(text, c, 0)
	}
	var refused *quantities.Error
	if _, _, err := serializers(t)["application/yaml"].Decode(text, nil, nil); !errors.As(err, &refused) {
		t.Error(err)
	}
}

// body encodes the pod with its limit replaced after it was encoded, as no encoder writes one that is refused.
func body(t testing.TB, form, limit string) []byte {
	t.Helper()
	mark := strings.Repeat("1", len(limit))
	var b bytes.Buffer
	p := &corev1.Pod{}
	if err := json.Unmarshal([]byte(strings.NewReplacer("LIMIT", "1", "1e-10000000", "a", "9e999999", "b").Replace(pod)), p); err != nil {
		t.Fatal(err)
	}
	p.Spec.Containers[0].Resources.Limits["memory"] = resource.MustParse(mark)
	if err := serializers(t)[form].Encode(p, &b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b.Bytes(), []byte(mark)) {
		t.Fatalf("%q holds no %s", b.Bytes(), mark)
	}
	return bytes.Replace(b.Bytes(), []byte(mark), []byte(limit), 1)
}

func TestExcessiveInBinaryIsRefused(t *testing.T) {
	for _, form := range []string{"application/vnd.kubernetes.protobuf", "application/cbor"} {
		for _, limit := range []string{"1e-10000000", strings.Repeat("2", 40) + "e-10000000", "1e100"} {
			began := time.Now()
			_, _, err := serializers(t)[form].Decode(body(t, form, limit), nil, nil)
			var refused *quantities.Error
			if !errors.As(err, &refused) || refused.Value != limit {
				t.Errorf("%s of %s: %v", limit, form, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s of %s: took %v", limit, form, took)
			}
		}
	}
}

// Patches that do not come through a serializer, and quantities in annotations.
func TestExcessiveInPatchesIsRefused(t *testing.T) {
	const metric = `[{"type":"Resource","resource":{"name":"cpu","targetAverageValue":"1e-10000000"}}]`
	annotation, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{"autoscaling.alpha.kubernetes.io/metrics": metric}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		form, patch string
		of          runtime.Object
		fits        bool
	}{
		"merged":         {"application/json", `{"spec":{"hard":{"cpu":"1e-10000000"}}}`, &corev1.ResourceQuota{}, false},
		"applied":        {"application/yaml", `{spec: {hard: {cpu: "1e-10000000"}}}`, &corev1.ResourceQuota{}, false},
		"a broken field": {"application/json", `{"kind":1,"spec":{"hard":{"cpu":"1e-10000000"}}}`, &corev1.ResourceQuota{}, false},
		"another field":  {"application/json", `{"metadata":{"annotations":{"a":"1e-10000000"}}}`, &corev1.ResourceQuota{}, true},
		"an annotation":  {"application/json", string(annotation), &autoscalingv1.HorizontalPodAutoscaler{}, false},
		"elsewhere":      {"application/json", string(annotation), &corev1.ResourceQuota{}, true},
	} {
		if err := quantities.InPatch(c.form, []byte(c.patch), c.of); (err == nil) != c.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What only looks like one is let through: a name, an annotation, a digest, bytes in base64, a map's key; and quantities that
// are written in an unusual way.
func TestOthersAreTaken(t *testing.T) {
	for _, limit := range []string{"1", "1e3", "1e-9", "1E10", "1e99", "0.5", "12e6", "1.5Gi", strings.Repeat("9", 60)} {
		var want corev1.Pod
		if err := json.Unmarshal([]byte(strings.Replace(pod, "LIMIT", limit, 1)), &want); err != nil {
			t.Fatal(err)
		}
		for form, s := range serializers(t) {
			var b bytes.Buffer
			want.APIVersion, want.Kind = "v1", "Pod"
			if err := s.Encode(&want, &b); err != nil {
				t.Fatal(err)
			}
			got, _, err := s.Decode(b.Bytes(), nil, nil)
			if err != nil {
				t.Errorf("%s in %s: %v", limit, form, err)
				continue
			}
			p := got.(*corev1.Pod)
			cpu, wanted := p.Spec.Containers[0].Resources.Limits["cpu"], want.Spec.Containers[0].Resources.Limits["cpu"]
			if cpu.Cmp(wanted) != 0 || p.Name != "1e-10000000" || p.Annotations["b"] != "9e999999" {
				t.Errorf("%s in %s: %s %v", limit, form, cpu.String(), p.ObjectMeta)
			}
		}
	}
	secret := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
	value, err := base64.StdEncoding.DecodeString("1e1000000000")
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{"1e1000": value}
	text, err := yaml.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := serializers(t)["application/yaml"].Decode(text, nil, nil)
	if err != nil || !bytes.Equal(got.(*corev1.Secret).Data["1e1000"], value) {
		t.Errorf("%v %v", got, err)
	}
}

// BenchmarkDefuse is what a body without anything of the kind costs more than BenchmarkDecode does.
func BenchmarkDefuse(b *testing.B) {
	benchmark(b, func(form string, data []byte, _ runtime.Serializer) { quantities.Defuse(form, data) })
}

func BenchmarkDecode(b *testing.B) {
	benchmark(b, func(_ string, data []byte, s runtime.Serializer) {
		if _, _, err := s.Decode(data, nil, nil); err != nil {
			b.Fatal(err)
		}
	})
}

func benchmark(b *testing.B, do func(form string, data []byte, s runtime.Serializer)) {
	p := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	for range 5 {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: "c", Image: "registry.example/some/where@sha256:" + strings.Repeat("3e4912ab", 8), Args: []string{"--some-flag=some-value", "--else=\u003cb\u003e"},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("1Gi")}},
			Env:       []corev1.EnvVar{{Name: "ONE", Value: "the value of a variable"}, {Name: "TWO", Value: "the value of another variable"}},
		})
	}
	for form, s := range serializers(b) {
		var body bytes.Buffer
		if err := s.Encode(p, &body); err != nil {
			b.Fatal(err)
		}
		b.Run(form, func(b *testing.B) {
			b.SetBytes(int64(body.Len()))
			for b.Loop() {
				do(form, body.Bytes(), s)
			}
		})
	}
}
