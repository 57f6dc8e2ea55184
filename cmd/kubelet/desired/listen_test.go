package desired

import "k8s.io/apimachinery/pkg/types"

func listen(s *Set, f func(types.UID)) { s.Listen(f, func() {}) }
