package listcache

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	libraryserializer "k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/pkg/api"
)

// encoders are those of a library's serializer for one media type and of the same behind a cache.
type encoders struct{ plain, cached runtime.Encoder }

func encodersFor(t testing.TB, cache *Cache, media string, gv schema.GroupVersion) encoders {
	t.Helper()
	all, err := api.NewTypes()
	if err != nil {
		t.Fatal(err)
	}
	library := libraryserializer.NewCodecFactory(all.Scheme, libraryserializer.WithStreamingCollectionEncodingToJSON(), libraryserializer.WithStreamingCollectionEncodingToProtobuf())
	encoder := func(s runtime.NegotiatedSerializer) runtime.Encoder {
		info, ok := runtime.SerializerInfoForMediaType(s.SupportedMediaTypes(), media)
		if !ok {
			t.Fatalf("no serializer for %s", media)
		}
		return s.EncoderForVersion(info.Serializer, gv)
	}
	return encoders{encoder(library), encoder(cache.Serve(library))}
}

// same encodes list both ways and returns the text.
func (e encoders) same(t *testing.T, list runtime.Object) string {
	t.Helper()
	var want, got bytes.Buffer
	if err := e.plain.Encode(list, &want); err != nil {
		t.Fatalf("the library's encoding of a %T: %v", list, err)
	}
	if err := e.cached.Encode(list, &got); err != nil {
		t.Fatalf("encoding a %T: %v", list, err)
	}
	if !bytes.Equal(want.Bytes(), got.Bytes()) {
		t.Fatalf("a %T is encoded as\n%q, expected\n%q", list, got.Bytes(), want.Bytes())
	}
	return got.String()
}

var media = []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf}

func configMaps(n int) *corev1.ConfigMapList {
	l := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more"}}
	for i := range n {
		l.Items = append(l.Items, corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("map-%d", i), Namespace: "default", UID: types.UID(fmt.Sprintf("uid-%d", i)), ResourceVersion: "1",
				ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "test", FieldsV1: metav1.NewFieldsV1(`{"f:data":{".":{},"f:k":{}}}`)}},
			},
			Data: map[string]string{"k": strings.Repeat("<x>", 100)},
		})
	}
	return l
}

// TestEveryListIsEncodedAsByTheLibrary encodes lists of every kind as often as it takes to keep and to use an encoding.
func TestEveryListIsEncodedAsByTheLibrary(t *testing.T) {
	all, err := api.NewTypes()
	if err != nil {
		t.Fatal(err)
	}
	lists := 0
	for gvk := range all.Served.AllKnownTypes() {
		list, err := all.Served.New(gvk)
		if err != nil || !strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		items := reflect.ValueOf(list).Elem().FieldByName("Items")
		if !items.IsValid() || !reflect.PointerTo(items.Type().Elem()).Implements(itemType) {
			continue
		}
		lists++
		items.Set(reflect.MakeSlice(items.Type(), 3, 3))
		for i := range 3 {
			object := items.Index(i).Addr().Interface().(metav1.Object)
			object.SetName(fmt.Sprintf("<object> %d", i))
			object.SetUID(types.UID(fmt.Sprintf("uid-%d", i)))
			object.SetResourceVersion("7")
		}
		for _, m := range media {
			e := encodersFor(t, New(DefaultBytes), m, gvk.GroupVersion())
			for range 4 {
				e.same(t, list)
			}
			e.same(t, list.DeepCopyObject())
		}
	}
	if lists < 50 {
		t.Errorf("%d kinds of lists were encoded, expected 50 at least", lists)
	}
}

func TestAnItemIsKeptFromItsSecondListOn(t *testing.T) {
	for _, m := range media {
		cache := New(DefaultBytes)
		e := encodersFor(t, cache, m, corev1.SchemeGroupVersion)
		list := configMaps(50)
		for i, kept := range []int{0, 50, 50} {
			e.same(t, list)
			shelf := cache.shelf(reflect.TypeFor[corev1.ConfigMap](), string(identifier(t, m)))
			if len(shelf.kept) != kept {
				t.Errorf("%s: %d items are kept after list %d, expected %d", m, len(shelf.kept), i+1, kept)
			}
		}
	}
}

// TestAllItemsOfALargeListAreKept: items do not for ever push each other out of what is remembered.
func TestAllItemsOfALargeListAreKept(t *testing.T) {
	cache := New(DefaultBytes)
	e := encodersFor(t, cache, runtime.ContentTypeProtobuf, corev1.SchemeGroupVersion)
	list := configMaps(10000)
	for range 5 {
		e.same(t, list)
	}
	shelf := cache.shelf(reflect.TypeFor[corev1.ConfigMap](), string(identifier(t, runtime.ContentTypeProtobuf)))
	if kept := len(shelf.kept); kept < 9990 {
		t.Errorf("%d of 10000 items are kept", kept)
	}
}

func identifier(t *testing.T, media string) runtime.Identifier {
	t.Helper()
	all, err := api.NewTypes()
	if err != nil {
		t.Fatal(err)
	}
	info, _ := runtime.SerializerInfoForMediaType(all.Codecs.SupportedMediaTypes(), media)
	return info.Serializer.Identifier()
}

// TestChangedItemsShowAtOnce: an object with a new version, and one that differs although its version does not.
func TestChangedItemsShowAtOnce(t *testing.T) {
	for _, m := range media {
		e := encodersFor(t, New(DefaultBytes), m, corev1.SchemeGroupVersion)
		list := configMaps(3)
		for range 3 {
			e.same(t, list)
		}
		list.Items[1].ResourceVersion = "2"
		list.Items[1].Data = map[string]string{"k": "second"}
		list.Items[2].Data = map[string]string{"k": "restored"}
		for range 4 {
			if text := e.same(t, list); !strings.Contains(text, "second") || !strings.Contains(text, "restored") {
				t.Fatalf("%s: the list shows old content: %q", m, text)
			}
		}
		list.Items = list.Items[1:]
		if text := e.same(t, list); strings.Contains(text, "map-0") {
			t.Errorf("%s: the list shows what is not in it", m)
		}
	}
}

// TestConvertedItemsAreNotKept: they are made anew for each list, so keeping them would never pay.
func TestConvertedItemsAreNotKept(t *testing.T) {
	cache := New(DefaultBytes)
	e := encodersFor(t, cache, runtime.ContentTypeJSON, eventsv1.SchemeGroupVersion)
	list := &corev1.EventList{Items: []corev1.Event{{
		ObjectMeta: metav1.ObjectMeta{Name: "e", UID: "u", ResourceVersion: "1"}, Reason: "Because", Count: 2, Series: &corev1.EventSeries{Count: 3},
	}}}
	for range 6 {
		if text := e.same(t, list); !strings.Contains(text, `"kind":"EventList"`) || !strings.Contains(text, `"deprecatedCount":2`) {
			t.Fatalf("unexpected list: %s", text)
		}
	}
	for key, s := range cache.shelves {
		for _, k := range s.kept {
			if k.encoded != nil {
				t.Errorf("a converted %v is kept", key.item)
			}
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	const limit = 20 << 10
	cache := New(limit)
	e := encodersFor(t, cache, runtime.ContentTypeJSON, corev1.SchemeGroupVersion)
	list := configMaps(1000)
	for range 4 {
		e.same(t, list)
	}
	if used := cache.used.Load(); used > limit || used < limit/2 {
		t.Errorf("%d bytes are kept, expected some, and %d at most", used, limit)
	}
}

func TestWhatNobodyListsIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(DefaultBytes)
		e := encodersFor(t, cache, runtime.ContentTypeJSON, corev1.SchemeGroupVersion)
		list := configMaps(10)
		e.same(t, list)
		e.same(t, list)
		time.Sleep(idle + time.Second) // of the bubble's clock
		list.Items = list.Items[:4]
		e.same(t, list)
		time.Sleep(idle + time.Second) // of the bubble's clock
		if s := cache.shelf(reflect.TypeFor[corev1.ConfigMap](), string(identifier(t, runtime.ContentTypeJSON))); len(s.kept) != 4 {
			t.Errorf("%d items are kept, expected the 4 that were listed", len(s.kept))
		}
		time.Sleep(2 * idle)
		if used := cache.used.Load(); used != 0 {
			t.Errorf("%d bytes are kept, expected none", used)
		}
	})
}

func BenchmarkList(b *testing.B) {
	for _, m := range media {
		e := encodersFor(b, New(DefaultBytes), m, corev1.SchemeGroupVersion)
		list := configMaps(5000)
		for _, form := range []struct {
			name    string
			encoder runtime.Encoder
		}{{"library", e.plain}, {"kept", e.cached}} {
			b.Run(form.name+"/"+m, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var size counter
					if err := form.encoder.Encode(list, &size); err != nil {
						b.Fatal(err)
					}
					b.SetBytes(int64(size))
				}
			})
		}
		b.Run("listed once/"+m, func(b *testing.B) {
			b.ReportAllocs()
			e := encodersFor(b, New(0), m, corev1.SchemeGroupVersion) // nothing is kept
			for b.Loop() {
				var size counter
				if err := e.cached.Encode(list, &size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
