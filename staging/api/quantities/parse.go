package quantities

import "k8s.io/apimachinery/pkg/api/resource"

// Parse is resource.ParseQuantity for texts from configuration and flags: an excessive one gives an *Error at once.
func Parse(text string) (resource.Quantity, error) {
	if excessive(text) {
		return resource.Quantity{}, &Error{text}
	}
	return resource.ParseQuantity(text)
}
