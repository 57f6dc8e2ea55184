package listcache

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Serve returns s with JSON and protobuf lists written from the cache.
func (c *Cache) Serve(s runtime.NegotiatedSerializer) runtime.NegotiatedSerializer {
	infos := append([]runtime.SerializerInfo(nil), s.SupportedMediaTypes()...)
	for i := range infos {
		switch infos[i].MediaType {
		case runtime.ContentTypeJSON:
			infos[i].Serializer = serializer{infos[i].Serializer, c, writeJSON}
		case runtime.ContentTypeProtobuf:
			infos[i].Serializer = serializer{infos[i].Serializer, c, writeProtobuf}
		}
	}
	return negotiated{s, infos}
}

type negotiated struct {
	runtime.NegotiatedSerializer
	infos []runtime.SerializerInfo
}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (n negotiated) SupportedMediaTypes() []runtime.SerializerInfo { return n.infos }

// serializer writes lists itself and leaves all else to the one it wraps.
type serializer struct {
	runtime.Serializer
	cache *Cache
	write func(w *bufio.Writer, l list, plain runtime.Serializer) error
}

var _ runtime.EncoderWithAllocator = serializer{}

// Encode implements runtime.Encoder.
func (s serializer) Encode(obj runtime.Object, w io.Writer) error {
	return s.EncodeWithAllocator(obj, w, &runtime.SimpleAllocator{})
}

// EncodeWithAllocator implements runtime.EncoderWithAllocator.
func (s serializer) EncodeWithAllocator(obj runtime.Object, w io.Writer, memory runtime.MemoryAllocator) error {
	l, ok := listOf(obj)
	if !ok {
		if plain, ok := s.Serializer.(runtime.EncoderWithAllocator); ok {
			return plain.EncodeWithAllocator(obj, w, memory)
		}
		return s.Serializer.Encode(obj, w)
	}
	l.shelf = s.cache.shelf(l.items.Type().Elem(), string(s.Identifier()))
	l.kept = l.shelf.find(l.items)
	// The response writer takes a first write of four bytes at most for the start of a stream, which it may compress.
	first := &firstWrite{w: w}
	buffered := bufio.NewWriterSize(first, 16<<10)
	if err := s.write(buffered, l, s.Serializer); err != nil {
		return err
	}
	return buffered.Flush()
}

// firstWrite writes the first four bytes on their own.
type firstWrite struct {
	w    io.Writer
	done bool
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.done || len(p) <= 4 {
		f.done = true
		return f.w.Write(p)
	}
	f.done = true
	if n, err := f.w.Write(p[:4]); err != nil {
		return n, err
	}
	n, err := f.w.Write(p[4:])
	return n + 4, err
}

// list is a list of an API type and what is known of its items.
type list struct {
	object runtime.Object
	meta   *metav1.ListMeta
	items  reflect.Value
	shelf  *shelf
	kept   [][]byte
}

// item is what every item of a list of k8s.io/api is.
type item interface {
	metav1.Object
	runtime.ProtobufReverseMarshaller
}

var itemType = reflect.TypeFor[item]()

// listOf takes a list apart if it has items and the fields that all lists of k8s.io/api have, in the same places.
func listOf(obj runtime.Object) (list, bool) {
	v := reflect.ValueOf(obj)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct || v.Elem().NumField() != 3 {
		return list{}, false
	}
	v = v.Elem()
	meta, ok := v.Field(1).Addr().Interface().(*metav1.ListMeta)
	items := v.Field(2)
	if !ok || items.Kind() != reflect.Slice || items.Len() == 0 || !reflect.PointerTo(items.Type().Elem()).Implements(itemType) {
		return list{}, false
	}
	if _, own := obj.(json.Marshaler); own {
		return list{}, false
	}
	for field, tags := range map[int][2]string{1: {"metadata,omitempty", "bytes,1,opt,name=metadata"}, 2: {"items", "bytes,2,rep,name=items"}} {
		tag := v.Type().Field(field).Tag
		if tag.Get("json") != tags[0] || tag.Get("protobuf") != tags[1] {
			return list{}, false
		}
	}
	return list{object: obj, meta: meta, items: items}, true
}

func (l list) at(i int) item { return l.items.Index(i).Addr().Interface().(item) }

// put writes an encoding that was made for this list, and keeps it if it may be shown again.
func (l list) put(w io.Writer, i int, encoded []byte) error {
	if len(encoded) <= maxItem && l.shelf.wanted(l.at(i)) {
		l.shelf.keep(l.items.Index(i), bytes.Clone(encoded))
	}
	_, err := w.Write(encoded)
	return err
}

// writeJSON writes the list as plain does: the text of a list without items, and the items put in.
func writeJSON(w *bufio.Writer, l list, plain runtime.Serializer) error {
	var text bytes.Buffer
	empty := reflect.New(reflect.TypeOf(l.object).Elem())
	empty.Elem().Set(reflect.ValueOf(l.object).Elem())
	empty.Elem().Field(2).Set(reflect.MakeSlice(l.items.Type(), 0, 0))
	if err := plain.Encode(empty.Interface().(runtime.Object), &text); err != nil {
		return err
	}
	const end = "]}\n"
	head, ok := bytes.CutSuffix(text.Bytes(), []byte(end))
	if !ok {
		return fmt.Errorf("encoding a list without items: %q does not end in %q", text.Bytes(), end)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	var value bytes.Buffer
	encoder := json.NewEncoder(&value)
	for i, encoded := range l.kept {
		if i > 0 {
			if err := w.WriteByte(','); err != nil {
				return err
			}
		}
		if encoded != nil {
			if _, err := w.Write(encoded); err != nil {
				return err
			}
			continue
		}
		value.Reset()
		if err := encoder.Encode(l.at(i)); err != nil {
			return err
		}
		if err := l.put(w, i, bytes.TrimSuffix(value.Bytes(), []byte{'\n'})); err != nil {
			return err
		}
	}
	_, err := w.WriteString(end)
	return err
}

// The tags of the two fields of a list in protobuf: the number of the field, and that its length comes first.
const (
	metaTag = 1<<3 | 2
	itemTag = 2<<3 | 2
)

// writeProtobuf writes a runtime.Unknown behind the magic number of Kubernetes, and in it the list. Lengths come
// before what they are of, so each item's is needed before the first is written.
func writeProtobuf(w *bufio.Writer, l list, _ runtime.Serializer) error {
	meta, err := l.meta.Marshal()
	if err != nil {
		return err
	}
	sizes := make([]int, len(l.kept))
	total := fieldSize(len(meta))
	for i, encoded := range l.kept {
		sizes[i] = len(encoded)
		if encoded == nil {
			sizes[i] = l.at(i).Size()
		}
		total += fieldSize(sizes[i])
	}
	if _, err := w.WriteString("k8s\x00"); err != nil {
		return err
	}
	kind := l.object.GetObjectKind().GroupVersionKind()
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{Kind: kind.Kind, APIVersion: kind.GroupVersion().String()}}
	_, err = envelope.MarshalToWriter(w, total, func(io.Writer) (int, error) {
		return total, writeProtobufFields(w, l, meta, sizes)
	})
	return err
}

func writeProtobufFields(w *bufio.Writer, l list, meta []byte, sizes []int) error {
	if err := writeField(w, metaTag, len(meta)); err != nil {
		return err
	}
	if _, err := w.Write(meta); err != nil {
		return err
	}
	var scratch []byte
	for i, encoded := range l.kept {
		if err := writeField(w, itemTag, sizes[i]); err != nil {
			return err
		}
		if encoded != nil {
			if _, err := w.Write(encoded); err != nil {
				return err
			}
			continue
		}
		if cap(scratch) < sizes[i] {
			scratch = make([]byte, sizes[i]+sizes[i]/2)
		}
		n, err := l.at(i).MarshalToSizedBuffer(scratch[:sizes[i]])
		if err != nil {
			return err
		}
		if n != sizes[i] {
			return fmt.Errorf("encoding %s %s: %d bytes, expected %d", l.items.Type().Elem(), l.at(i).GetName(), n, sizes[i])
		}
		if err := l.put(w, i, scratch[:n]); err != nil {
			return err
		}
	}
	return nil
}

// writeField writes what comes before a field's content.
func writeField(w *bufio.Writer, tag byte, size int) error {
	_, err := w.Write(binary.AppendUvarint(append(w.AvailableBuffer(), tag), uint64(size)))
	return err
}

func fieldSize(size int) int {
	var length [binary.MaxVarintLen64]byte
	return 1 + binary.PutUvarint(length[:], uint64(size)) + size
}
