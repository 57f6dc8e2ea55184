package kind

import (
	"k8s.io/apimachinery/pkg/api/equality"
)

// Part is a piece of an object that is kept, cleared or compared as a whole.
type Part[T any] interface {
	// Clear empties the part.
	Clear(obj T)
	// Copy takes the part over from another object.
	Copy(to, from T)
	// Equal compares by meaning: nil and empty are the same.
	Equal(a, b T) bool
}

// Field is the part at the address that get returns, typically &obj.Spec.
func Field[T, F any](get func(obj T) *F) Part[T] { return fieldPart[T, F]{get} }

type fieldPart[T, F any] struct{ get func(T) *F }

func (p fieldPart[T, F]) Clear(obj T) {
	var zero F
	*p.get(obj) = zero
}
func (p fieldPart[T, F]) Copy(to, from T)   { *p.get(to) = *p.get(from) }
func (p fieldPart[T, F]) Equal(a, b T) bool { return equality.Semantic.DeepEqual(p.get(a), p.get(b)) }

// Fields is several parts taken together.
func Fields[T any](parts ...Part[T]) Part[T] { return partList[T](parts) }

type partList[T any] []Part[T]

func (l partList[T]) Clear(obj T) {
	for _, p := range l {
		p.Clear(obj)
	}
}

func (l partList[T]) Copy(to, from T) {
	for _, p := range l {
		p.Copy(to, from)
	}
}

func (l partList[T]) Equal(a, b T) bool {
	for _, p := range l {
		if !p.Equal(a, b) {
			return false
		}
	}
	return true
}
