package config

import (
	"fmt"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Faults turns a list of faults into one error that names the kind and every field, in a stable order; an empty list is nil.
func Faults(kind string, list field.ErrorList) error {
	if len(list) == 0 {
		return nil
	}
	lines := make([]string, 0, len(list))
	for _, fault := range list {
		lines = append(lines, fault.Error())
	}
	sort.Strings(lines)
	return fmt.Errorf("%s is invalid:\n\t%s", kind, strings.Join(lines, "\n\t"))
}
