package validation

import (
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Texts that many rules share.
const (
	immutable   = "field is immutable"
	notNegative = "must be greater than or equal to 0"
	positive    = "must be greater than zero"
)

// faults collects what is wrong with one object. Its methods take the path of the parent and the name of the field, so
// that a path is built only for a field that is wrong; an empty name means the parent itself.
type faults struct{ list field.ErrorList }

func child(p *field.Path, name string) *field.Path {
	if name == "" {
		return p
	}
	return p.Child(name)
}

func (f *faults) add(errs ...*field.Error) { f.list = append(f.list, errs...) }

func (f *faults) required(p *field.Path, name, detail string) {
	f.add(field.Required(child(p, name), detail))
}

func (f *faults) invalid(p *field.Path, name string, value any, detail string) {
	f.add(field.Invalid(child(p, name), value, detail))
}

func (f *faults) forbidden(p *field.Path, name, detail string) {
	f.add(field.Forbidden(child(p, name), detail))
}

func (f *faults) duplicate(p *field.Path, name string, value any) {
	f.add(field.Duplicate(child(p, name), value))
}

func (f *faults) notFound(p *field.Path, name string, value any) {
	f.add(field.NotFound(child(p, name), value))
}

func (f *faults) tooLong(p *field.Path, name string, limit int) {
	f.add(field.TooLong(child(p, name), "", limit))
}

func (f *faults) tooMany(p *field.Path, name string, actual, limit int) bool {
	if actual <= limit {
		return false
	}
	f.add(field.TooMany(child(p, name), actual, limit))
	return true
}

// messages makes a fault of each message about one value.
func (f *faults) messages(p *field.Path, name, value string, msgs []string) {
	for _, m := range msgs {
		f.invalid(p, name, value, m)
	}
}

func (f *faults) notNegative(p *field.Path, name string, v int64) {
	if v < 0 {
		f.invalid(p, name, v, notNegative)
	}
}

func (f *faults) notNegativePtr(p *field.Path, name string, v *int32) {
	if v != nil {
		f.notNegative(p, name, int64(*v))
	}
}

// present requires a text and tells whether it is there.
func (f *faults) present(p *field.Path, name, value string) bool {
	if value == "" {
		f.required(p, name, "")
		return false
	}
	return true
}

func (f *faults) dnsLabel(p *field.Path, name, value string) {
	f.messages(p, name, value, validation.IsDNS1123Label(value))
}

func (f *faults) dnsSubdomain(p *field.Path, name, value string) {
	f.messages(p, name, value, validation.IsDNS1123Subdomain(value))
}

// immutable refuses a change. Nil and empty are the same.
func (f *faults) immutable(p *field.Path, name string, now, before any) bool {
	if apiequality.Semantic.DeepEqual(now, before) {
		return true
	}
	f.invalid(p, name, now, immutable)
	return false
}

// oneOf accepts the listed values only.
func oneOf[T ~string](f *faults, p *field.Path, name string, value T, allowed ...T) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	f.add(field.NotSupported(child(p, name), value, slices.Clone(allowed)))
	return false
}

// requireOneOf is oneOf for a field that must be set.
func requireOneOf[T ~string](f *faults, p *field.Path, name string, value T, allowed ...T) bool {
	if value == "" {
		f.required(p, name, "")
		return false
	}
	return oneOf(f, p, name, value, allowed...)
}

// oneOfPtr is oneOf for an optional field.
func oneOfPtr[T ~string](f *faults, p *field.Path, name string, value *T, allowed ...T) {
	if value != nil {
		oneOf(f, p, name, *value, allowed...)
	}
}

// choice checks that just one of several fields is set.
type choice struct {
	f     *faults
	path  *field.Path
	noun  string
	taken bool
}

// first tells whether a field that is set is the first one; any further one is a fault.
func (c *choice) first(name string) bool {
	if c.taken {
		c.f.forbidden(c.path, name, "may not specify more than 1 "+c.noun)
		return false
	}
	c.taken = true
	return true
}

// done requires that one was set.
func (c *choice) done() {
	if !c.taken {
		c.f.required(c.path, "", "must specify a "+c.noun)
	}
}

// same tells whether two values say the same, nil and empty being the same.
func same(a, b any) bool { return apiequality.Semantic.DeepEqual(a, b) }

// seen remembers values to find duplicates without allocating for short lists.
type seen[T comparable] struct{ list []T }

func (s *seen[T]) has(v T) bool { return slices.Contains(s.list, v) }

// again tells whether a value came before, and remembers it.
func (s *seen[T]) again(v T) bool {
	if s.has(v) {
		return true
	}
	s.list = append(s.list, v)
	return false
}
