package gated

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-base/featuregate"
)

// Off are the fields whose gates are off.
type Off struct{ fields map[reflect.Type][]closed }

type closed struct {
	field
	gate featuregate.Feature
}

// NewOff looks at the gates once; they do not change while a server runs.
func NewOff(on featuregate.FeatureGate) *Off {
	o := &Off{fields: map[reflect.Type][]closed{}}
	for _, g := range table() {
		if on.Enabled(g.name) {
			continue
		}
		for _, f := range g.fields {
			o.fields[f.holder] = append(o.fields[f.holder], closed{f, g.name})
		}
	}
	return o
}

// Fields are the ways from the root of a type of object to the fields that are dropped from it. Nil drops nothing.
type Fields struct{ root *node }

// node is a type on the way: what is dropped from it, and in which of its fields there is more.
type node struct {
	drop []closed
	down []below // of a struct
	elem *node   // of a pointer, list or map
}

// below is a field of a struct, by its number.
type below struct {
	field int
	node  *node
}

// In finds the ways through a type of object, given by a sample.
func (o *Off) In(sample runtime.Object) *Fields {
	if o == nil {
		return nil
	}
	if root := o.node(reflect.TypeOf(sample), map[reflect.Type]*node{}); root != nil {
		return &Fields{root}
	}
	return nil
}

func (o *Off) node(t reflect.Type, seen map[reflect.Type]*node) *node {
	if n, ok := seen[t]; ok {
		return n
	}
	n := &node{drop: o.fields[t]}
	seen[t] = n // templates of pod groups are made of such templates
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		n.elem = o.node(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if next := o.node(t.Field(i).Type, seen); next != nil {
				n.down = append(n.down, below{i, next})
			}
		}
	}
	if len(n.drop) == 0 && len(n.down) == 0 && n.elem == nil {
		seen[t] = nil
	}
	return seen[t]
}

// Drop empties the fields of obj whose gate is off, but for gates of which the old object has a field. old may be nil.
func (f *Fields) Drop(obj, old runtime.Object) {
	if f == nil {
		return
	}
	used := f.used(obj)
	if len(used) == 0 {
		return
	}
	if old != nil {
		used = used.Difference(f.used(old))
	}
	f.root.walk(reflect.ValueOf(obj), func(c closed, v reflect.Value) {
		if used.Has(c.gate) {
			v.SetZero()
		}
	})
}

func (f *Fields) used(obj runtime.Object) sets.Set[featuregate.Feature] {
	out := sets.Set[featuregate.Feature]{}
	f.root.walk(reflect.ValueOf(obj), func(c closed, _ reflect.Value) { out.Insert(c.gate) })
	return out
}

// walk visits the fields that are set.
func (n *node) walk(v reflect.Value, visit func(closed, reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n.elem.walk(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			n.elem.walk(v.Index(i), visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			value := reflect.New(v.Type().Elem()).Elem() // a value in a map cannot be changed
			value.Set(it.Value())
			changed := false
			n.elem.walk(value, func(c closed, f reflect.Value) {
				visit(c, f)
				changed = changed || f.IsZero()
			})
			if changed {
				v.SetMapIndex(it.Key(), value)
			}
		}
	case reflect.Struct:
		for _, c := range n.drop {
			if f := v.FieldByName(c.name); !f.IsZero() && (c.part == "" || !f.Elem().FieldByName(c.part).IsZero()) {
				visit(c, f)
			}
		}
		for _, b := range n.down {
			b.node.walk(v.Field(b.field), visit)
		}
	}
}
