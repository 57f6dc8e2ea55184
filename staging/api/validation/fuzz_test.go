package validation_test

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/yaml"

	"pilotis.dev/api/validation"
)

// TestArbitraryObjects fills objects of every kind with noise: nothing may panic, defaults must be stable, and an
// object must survive encoding once it has its defaults.
func TestArbitraryObjects(t *testing.T) {
	s := newScheme(t)
	codecs := serializer.NewCodecFactory(s)
	wire := json.NewSerializerWithOptions(json.DefaultMetaFactory, s, s, json.SerializerOptions{})
	fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), codecs).NilChance(0.3)
	for gvk := range s.AllKnownTypes() {
		first, err := s.New(gvk)
		if err != nil || !validation.Knows(first) {
			continue
		}
		t.Run(gvk.GroupKind().String(), func(t *testing.T) {
			for range 30 {
				obj, _ := s.New(gvk)
				fill.Fill(obj)
				// Decoding gives the noise the shape that a request has.
				raw, err := runtime.Encode(wire, obj)
				if err != nil {
					t.Fatal(err)
				}
				obj, err = s.New(gvk)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := wire.Decode(raw, &gvk, obj); err != nil {
					t.Fatal(err)
				}
				s.Default(obj)
				again := obj.DeepCopyObject()
				s.Default(again)
				if !apiequality.Semantic.DeepEqual(obj, again) {
					t.Errorf("defaulting twice changes %#v", obj)
				}
				check(obj, again)
				raw, err = runtime.Encode(wire, obj)
				if err != nil {
					t.Fatal(err)
				}
				back, _ := s.New(gvk)
				if _, _, err := wire.Decode(raw, &gvk, back); err != nil {
					t.Fatal(err)
				}
				s.Default(back)
				if !apiequality.Semantic.DeepEqual(obj, back) {
					t.Errorf("an object changed on its way:\n%#v\n%#v", obj, back)
				}
			}
		})
	}
}

// check calls every rule that there is for a pair of objects.
func check(obj, old runtime.Object) {
	validation.Create(obj)
	validation.Update(obj, old)
	validation.StatusUpdate(obj, old)
	for _, name := range []string{"scale", "binding", "ephemeralcontainers", "resize", "approval", "finalize", "token"} {
		validation.Subresource(name, obj, old)
	}
}

// FuzzManifest decodes anything, and checks what can be decoded.
func FuzzManifest(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		base, _ := parse(string(text))
		raw, err := yaml.YAMLToJSON([]byte(base))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	n := newNarrator(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		obj, _, err := n.decoder.Decode(raw, nil, nil)
		if err != nil {
			return
		}
		n.scheme.Default(obj)
		check(obj, obj.DeepCopyObject())
	})
}
