package admission

import "fmt"

func wrongType(got, want any) error {
	return fmt.Errorf("admission got an object of type %T where %T belongs", got, want)
}
