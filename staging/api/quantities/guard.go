package quantities

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Guard returns codecs whose decoders refuse excessive quantities with an Error before they are read.
func Guard(codecs runtime.NegotiatedSerializer) runtime.NegotiatedSerializer {
	g := &guarded{NegotiatedSerializer: codecs}
	for _, info := range codecs.SupportedMediaTypes() {
		info.Serializer = GuardSerializer(info.MediaType, info.Serializer)
		if info.StrictSerializer != nil {
			info.StrictSerializer = GuardSerializer(info.MediaType, info.StrictSerializer)
		}
		g.infos = append(g.infos, info)
	}
	return g
}

type guarded struct {
	runtime.NegotiatedSerializer
	infos []runtime.SerializerInfo
}

func (g *guarded) SupportedMediaTypes() []runtime.SerializerInfo { return g.infos }

// EncoderForVersion hands the serializer itself on, whose further interfaces make encoding cheaper.
func (g *guarded) EncoderForVersion(encoder runtime.Encoder, gv runtime.GroupVersioner) runtime.Encoder {
	if s, ok := encoder.(*serializer); ok {
		encoder = s.Serializer
	}
	return g.NegotiatedSerializer.EncoderForVersion(encoder, gv)
}

// GuardSerializer is Guard for a serializer of one media type.
func GuardSerializer(mediaType string, s runtime.Serializer) runtime.Serializer {
	return &serializer{Serializer: s, mediaType: mediaType}
}

type serializer struct {
	runtime.Serializer
	mediaType string
}

// Decode implements runtime.Decoder.
func (s *serializer) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	check := func(defused []byte) error {
		var scratch runtime.Object
		if into != nil {
			scratch = into.DeepCopyObject()
		}
		_, _, err := s.Serializer.Decode(defused, defaults, scratch)
		return err
	}
	if err := Refuse(s.mediaType, data, check); err != nil {
		return nil, nil, err
	}
	obj, kind, err := s.Serializer.Decode(data, defaults, into)
	if obj != nil {
		if refused := inAnnotations(obj); refused != nil {
			return nil, kind, refused
		}
	}
	return obj, kind, err
}

// Refuse returns an Error when a body holds an excessive quantity. Whether what looks like one is one, decode tells, to which
// the body is given with it spoilt.
func Refuse(mediaType string, data []byte, decode func(defused []byte) error) error {
	defused, first := Defuse(mediaType, data)
	if defused == nil {
		return nil
	}
	err := decode(defused)
	if err == nil || runtime.IsStrictDecodingError(err) && !unparsed(err) {
		return nil
	}
	if unparsed(err) {
		return &Error{Value: first}
	}
	return err // and the body as it is would fail likewise
}

// unparsed tells whether a decoder came upon a quantity that is none. Not all decoders wrap the error.
func unparsed(err error) bool {
	for _, fault := range []error{resource.ErrFormatWrong, resource.ErrSuffix, resource.ErrNumeric} {
		if strings.Contains(err.Error(), fault.Error()) {
			return true
		}
	}
	return false
}
