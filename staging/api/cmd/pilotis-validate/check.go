package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"pilotis.dev/api/quantities"
	"pilotis.dev/api/validation"
)

// checker gathers the faults of many files.
type checker struct {
	rules     *validation.Validator
	namespace string
	known     bool

	scheme  *runtime.Scheme
	decoder runtime.Decoder

	objects       int
	faults, notes []string
}

func newChecker(rules *validation.Validator, namespace string, known bool) (*checker, error) {
	scheme, err := builtin()
	if err != nil {
		return nil, err
	}
	decoder := quantities.GuardSerializer(runtime.ContentTypeYAML,
		json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}))
	return &checker{rules: rules, namespace: namespace, known: known, scheme: scheme, decoder: decoder}, nil
}

func (c *checker) fault(where, text string) { c.faults = append(c.faults, where+": "+text) }

// file checks all documents of a file.
func (c *checker) file(path string, stdin io.Reader) error {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	docs := yaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if !empty(doc) {
			c.document(fmt.Sprintf("%s[%d]", path, n), doc)
		}
	}
}

// empty tells whether a document holds nothing but comments and marks.
func empty(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && string(line) != "---" {
			return false
		}
	}
	return true
}

func (c *checker) document(where string, doc []byte) {
	obj, gvk, err := c.decoder.Decode(doc, nil, nil)
	switch {
	case runtime.IsNotRegisteredError(err):
		c.objects++
		text := "not a built-in kind, not checked"
		if gvk != nil {
			text = fmt.Sprintf("%s of %s is not a built-in kind, not checked", gvk.Kind, gvk.GroupVersion())
		}
		if c.known {
			c.fault(where, text)
		} else {
			c.notes = append(c.notes, where+": "+text)
		}
		return
	case runtime.IsStrictDecodingError(err):
		strict, _ := runtime.AsStrictDecodingError(err)
		for _, e := range strict.Errors() {
			c.fault(where+" "+c.title(obj), e.Error())
		}
	case err != nil:
		c.objects++
		c.fault(where, err.Error())
		return
	}
	if list, ok := obj.(*corev1.List); ok {
		for i := range list.Items {
			c.document(fmt.Sprintf("%s.items[%d]", where, i), list.Items[i].Raw)
		}
		return
	}
	if meta.IsListType(obj) {
		c.list(where, obj)
		return
	}
	c.objects++
	c.object(where, obj)
}

// list checks the items of a list of one kind, such as a PodList; they need not name their kind.
func (c *checker) list(where string, list runtime.Object) {
	i := 0
	err := meta.EachListItem(list, func(item runtime.Object) error {
		kinds, _, err := c.scheme.ObjectKinds(item)
		if err != nil {
			return err
		}
		item.GetObjectKind().SetGroupVersionKind(kinds[0])
		c.objects++
		c.object(fmt.Sprintf("%s.items[%d]", where, i), item)
		i++
		return nil
	})
	if err != nil {
		c.fault(where, err.Error())
	}
}

func (c *checker) object(where string, obj runtime.Object) {
	if !validation.Knows(obj) {
		c.notes = append(c.notes, where+" "+c.title(obj)+": no rules for this kind, not checked")
		return
	}
	c.scheme.Default(obj)
	prepare(obj, c.namespace)
	for _, e := range c.rules.Create(obj) {
		c.fault(where+" "+c.title(obj), e.Error())
	}
}

// title is kind/name.
func (c *checker) title(obj runtime.Object) string {
	if obj == nil {
		return ""
	}
	name := ""
	if m, err := meta.Accessor(obj); err == nil {
		name = m.GetName()
	}
	kind := obj.GetObjectKind().GroupVersionKind().Kind
	return kind + "/" + name
}
