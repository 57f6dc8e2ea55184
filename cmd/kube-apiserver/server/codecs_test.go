package server

import (
	"bytes"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"

	"pilotis.dev/api/quantities"
	"pilotis.dev/pkg/api"
)

// FuzzCodecs decodes noise in each encoding that the server takes. What can be decoded comes to the hub and back to its served
// version in every encoding, and once written it does not change any more.
func FuzzCodecs(f *testing.F) {
	types, err := api.NewTypes()
	if err != nil {
		f.Fatal(err)
	}
	encodings := []runtime.Serializer{quantities.GuardSerializer(runtime.ContentTypeCBOR, cbor.NewSerializer(types.Scheme, types.Scheme))}
	for _, info := range quantities.Guard(types.Codecs).SupportedMediaTypes() {
		encodings = append(encodings, info.Serializer)
	}
	seeds := 0
	for gvk := range types.Served.AllKnownTypes() {
		empty, err := types.Served.New(gvk)
		if err != nil {
			f.Fatal(err)
		}
		empty.GetObjectKind().SetGroupVersionKind(gvk)
		var b bytes.Buffer
		seeds++
		if err := encodings[seeds%len(encodings)].Encode(empty, &b); err == nil {
			f.Add(uint8(seeds%len(encodings)), b.Bytes())
		}
	}
	f.Add(uint8(1), []byte(`{"apiVersion":"v1","kind":"ResourceQuota","spec":{"hard":{"cpu":"1e-10000000","pods":"1e99"}}}`))
	f.Add(uint8(1), []byte(`{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/metrics":"[{}]"}}}`))
	f.Fuzz(func(t *testing.T, encoding uint8, raw []byte) {
		obj, gvk, err := encodings[int(encoding)%len(encodings)].Decode(raw, nil, nil)
		if err != nil {
			return
		}
		if _, err := meta.Accessor(obj); err != nil {
			return // no object: options, or a list
		}
		hub, err := types.Scheme.UnsafeConvertToVersion(obj.DeepCopyObject(), runtime.InternalGroupVersioner)
		if err != nil {
			return // of this kind there is no hub
		}
		back, err := types.Scheme.UnsafeConvertToVersion(hub, gvk.GroupVersion())
		if err != nil {
			t.Fatalf("%s came to the hub, and does not come back: %v", gvk, err)
		}
		for _, e := range encodings {
			once := written(t, e, back)
			again, _, err := e.Decode(once, &schema.GroupVersionKind{}, nil)
			if err != nil {
				t.Fatalf("%s was written as %q, which cannot be read: %v", gvk, once, err)
			}
			if twice := written(t, e, again); !bytes.Equal(once, twice) {
				t.Fatalf("%s changes when it is read and written:\n%q\n%q", gvk, once, twice)
			}
		}
	})
}

func written(t *testing.T, e runtime.Encoder, obj runtime.Object) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Encode(obj, &b); err != nil {
		t.Fatalf("encoding %T: %v", obj, err)
	}
	return b.Bytes()
}
