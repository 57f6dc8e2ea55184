package admission

import (
	"fmt"
	"reflect"
)

// needs reports that a plugin was not given what it works with.
func needs(given any, what string) error {
	if given == nil || (reflect.ValueOf(given).Kind() == reflect.Pointer && reflect.ValueOf(given).IsNil()) {
		return fmt.Errorf("admission plugin was not given %s", what)
	}
	return nil
}
