package api

import (
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// both registers a pair of conversions between two shapes of an object.
func both[A, B any](s *runtime.Scheme, there func(*A, *B) error, back func(*B, *A) error) error {
	if err := one2one(s, there); err != nil {
		return err
	}
	return one2one(s, back)
}

func one2one[A, B any](s *runtime.Scheme, f func(*A, *B) error) error {
	return s.AddConversionFunc((*A)(nil), (*B)(nil), func(a, b any, _ conversion.Scope) error { return f(a.(*A), b.(*B)) })
}

// each converts a list item by item.
func each[A, B any](in []A, f func(*A, *B) error) ([]B, error) {
	if in == nil {
		return nil, nil
	}
	out := make([]B, len(in))
	for i := range in {
		if err := f(&in[i], &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
