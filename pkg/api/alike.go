package api

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// Most versions of a kind are written alike: the same fields by the same names, in types of their own. Such versions are
// converted field by field, without a line of code a kind; what differs is in uneven.go, a pair of types each.

var typeMeta = reflect.TypeFor[metav1.TypeMeta]()

// pairOf are the two ends of a conversion.
type pairOf struct{ from, to reflect.Type }

// shapes are the pairs of types that are not alike, with the conversion from a pointer to one to a pointer to the other.
type shapes map[pairOf]func(from, to reflect.Value) error

// alike registers the conversions of an object between two versions, and the defaults of that version, which are those of
// the hub. It fails when a field of one has no counterpart in the other.
func (u shapes) alike(s *runtime.Scheme, version, hub reflect.Type) error {
	for _, p := range []pairOf{{version, hub}, {hub, version}} {
		if err := u.fits(p, map[pairOf]bool{}); err != nil {
			return fmt.Errorf("converting %s to %s: %w", p.from, p.to, err)
		}
		from, to := reflect.Zero(reflect.PointerTo(p.from)).Interface(), reflect.Zero(reflect.PointerTo(p.to)).Interface()
		err := s.AddConversionFunc(from, to, func(a, b any, _ conversion.Scope) error {
			return u.assign(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
		})
		if err != nil {
			return err
		}
	}
	s.AddTypeDefaultingFunc(reflect.New(version).Interface().(runtime.Object), func(o any) {
		full, obj := reflect.New(hub), reflect.ValueOf(o).Elem()
		if u.assign(obj, full.Elem()) != nil {
			return // who decodes it hears of this from the conversion that follows
		}
		s.Default(full.Interface().(runtime.Object))
		kind := obj.FieldByName("TypeMeta").Interface()
		if u.assign(full.Elem(), obj) == nil {
			obj.FieldByName("TypeMeta").Set(reflect.ValueOf(kind))
		}
	})
	return nil
}

// fits tells whether assign can write every field of one type to another.
func (u shapes) fits(p pairOf, seen map[pairOf]bool) error {
	if p.from == p.to || seen[p] || u[p] != nil {
		return nil
	}
	seen[p] = true
	switch {
	case p.from.Kind() == p.to.Kind() && (p.from.Kind() == reflect.Pointer || p.from.Kind() == reflect.Slice):
		return u.fits(pairOf{p.from.Elem(), p.to.Elem()}, seen)
	case p.from.Kind() == reflect.Map && p.to.Kind() == reflect.Map:
		if err := u.fits(pairOf{p.from.Key(), p.to.Key()}, seen); err != nil {
			return err
		}
		return u.fits(pairOf{p.from.Elem(), p.to.Elem()}, seen)
	case p.from.Kind() == reflect.Struct && p.to.Kind() == reflect.Struct:
		for i := range p.from.NumField() {
			field := p.from.Field(i)
			other, ok := p.to.FieldByName(field.Name)
			if !ok {
				return fmt.Errorf("%s has no field %s", p.to, field.Name)
			}
			if err := u.fits(pairOf{field.Type, other.Type}, seen); err != nil {
				return err
			}
		}
		return nil
	case p.from.Kind() == reflect.Pointer && p.from.Elem() == p.to, p.to.Kind() == reflect.Pointer && p.to.Elem() == p.from,
		p.from.Kind() == p.to.Kind() && p.from.ConvertibleTo(p.to):
		return nil
	}
	return fmt.Errorf("%s is no %s", p.from, p.to)
}

// assign writes from to to, which must be settable. Memory of parts that have one type in both is shared, as by all
// conversions of a scheme; apiVersion and kind are left to the scheme.
func (u shapes) assign(from, to reflect.Value) error {
	p := pairOf{from.Type(), to.Type()}
	if p.from == p.to {
		if p.from != typeMeta {
			to.Set(from)
		}
		return nil
	}
	if f := u[p]; f != nil {
		return f(from.Addr(), to.Addr())
	}
	switch {
	case from.Kind() == reflect.Struct:
		return u.assignFields(from, to)
	case from.Kind() == reflect.Slice && !from.IsNil():
		to.Set(reflect.MakeSlice(p.to, from.Len(), from.Len()))
		for i := range from.Len() {
			if err := u.assign(from.Index(i), to.Index(i)); err != nil {
				return err
			}
		}
	case from.Kind() == reflect.Map && !from.IsNil():
		return u.assignMap(from, to)
	case from.Kind() == reflect.Pointer && to.Kind() == reflect.Pointer && !from.IsNil():
		to.Set(reflect.New(p.to.Elem()))
		return u.assign(from.Elem(), to.Elem())
	case from.Kind() == reflect.Slice, from.Kind() == reflect.Map, from.Kind() == reflect.Pointer && to.Kind() == reflect.Pointer:
		to.SetZero()
	case from.Kind() == reflect.Pointer: // an optional field of one version is, empty, absent in the other
		to.SetZero()
		if !from.IsNil() {
			to.Set(from.Elem())
		}
	case to.Kind() == reflect.Pointer:
		to.SetZero()
		if !from.IsZero() {
			to.Set(reflect.New(p.from))
			to.Elem().Set(from)
		}
	default:
		to.Set(from.Convert(p.to))
	}
	return nil
}

// assignFields goes by the fields of the smaller struct.
func (u shapes) assignFields(from, to reflect.Value) error {
	names := from.Type()
	if to.NumField() < from.NumField() {
		names = to.Type()
	}
	for i := range names.NumField() {
		name := names.Field(i).Name
		if err := u.assign(from.FieldByName(name), to.FieldByName(name)); err != nil {
			return err
		}
	}
	return nil
}

func (u shapes) assignMap(from, to reflect.Value) error {
	to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
	for it := from.MapRange(); it.Next(); {
		// Neither keys nor values of a map are addressable.
		in, key, value := reflect.New(from.Type().Elem()).Elem(), reflect.New(to.Type().Key()).Elem(), reflect.New(to.Type().Elem()).Elem()
		in.Set(it.Value())
		if err := u.assign(it.Key(), key); err != nil {
			return err
		}
		if err := u.assign(in, value); err != nil {
			return err
		}
		to.SetMapIndex(key, value)
	}
	return nil
}
