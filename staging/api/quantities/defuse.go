package quantities

import (
	"bytes"
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"sigs.k8s.io/yaml"
)

// Defuse returns a body of a media type with each text that reads as an excessive quantity made one that is none, and the
// first of them. The last character becomes an x, so that what is decoded as a quantity fails, and anything else does not.
// Without such a text the result is nil: the body is safe as it is. What cannot be read is safe too: no decoder takes it.
func Defuse(mediaType string, data []byte) (defused []byte, first string) {
	switch {
	case strings.HasSuffix(mediaType, "yaml"):
		if !suspectText(data) && !escaped(data) && !bytes.ContainsRune(data, '!') && (len(data) == 0 || data[0] < 0xfe) {
			return nil, ""
		}
		text, err := yaml.YAMLToJSON(data)
		if err != nil {
			return nil, ""
		}
		return inJSON(text)
	case strings.HasSuffix(mediaType, "cbor"):
		return inCBOR(data)
	case mediaType == runtime.ContentTypeProtobuf:
		return inProtobuf(data)
	}
	if !suspectText(data) && !escaped(data) {
		return nil, ""
	}
	return inJSON(data)
}

func spoilt(text string) string { return text[:len(text)-1] + "x" }

// inJSON looks at every string and number; a number is made a string. Names of fields are not told from values: there is no
// field of such a name.
func inJSON(data []byte) (defused []byte, first string) {
	out := make([]byte, 0, len(data))
	put := func(found string, token []byte) {
		if first == "" {
			first = found
		}
		out = append(out, token...)
	}
	for i := 0; i < len(data); {
		end := i + 1
		switch c := data[i]; {
		case c == '"':
			for end < len(data) && data[end] != '"' {
				if data[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(data))
			var text string
			if json.Unmarshal(data[i:end], &text) == nil && excessive(text) {
				quoted, _ := json.Marshal(spoilt(strings.TrimSpace(text))) // a string always can
				put(text, quoted)
				i = end
				continue
			}
		case numeric(c):
			for end < len(data) && (numeric(data[end]) || data[end]|0x20 == 'e') {
				end++
			}
			if text := string(data[i:end]); excessive(text) {
				put(text, []byte(`"x"`))
				i = end
				continue
			}
		}
		out, i = append(out, data[i:end]...), end
	}
	if first == "" {
		return nil, ""
	}
	return out, first
}

// inCBOR decodes, as CBOR has many ways to write a string.
func inCBOR(data []byte) (defused []byte, first string) {
	var tree any
	if err := direct.Unmarshal(data, &tree); err != nil {
		return nil, ""
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			if excessive(v) {
				if first == "" {
					first = v
				}
				return spoilt(strings.TrimSpace(v))
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	if tree = walk(tree); first == "" {
		return nil, ""
	}
	defused, err := direct.Marshal(tree)
	if err != nil {
		return nil, ""
	}
	return defused, first
}

// inProtobuf looks at what follows a length and is, over that length, an excessive quantity.
func inProtobuf(data []byte) (defused []byte, first string) {
	for at := suspect(data, 0); at >= 0; at = suspect(data, at+1) {
		for begin := at; begin > 0 && numeric(data[begin-1]); {
			begin--
			text := lengthDelimited(data, begin)
			if begin+len(text) <= at || !excessive(string(text)) {
				continue
			}
			if first == "" {
				defused, first = bytes.Clone(data), string(text)
			}
			defused[begin+len(text)-1] = 'x'
		}
		for at+1 < len(data) && numeric(data[at+1]) { // these digits were looked at
			at++
		}
	}
	return defused, first
}

// lengthDelimited is what begins at a place and is as long as the varint before it says.
func lengthDelimited(data []byte, begin int) []byte {
	if begin == 0 || data[begin-1] >= 0x80 {
		return nil
	}
	start := begin - 1
	for start > 0 && data[start-1] >= 0x80 && begin-start < 10 {
		start--
	}
	length := 0
	for i := begin - 1; i >= start; i-- {
		length = length<<7 | int(data[i]&0x7f)
	}
	if length < 0 || length > len(data)-begin {
		return nil
	}
	return data[begin : begin+length]
}
