package observed

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The runtime's names of signals are the API's with a prefix, and without signs: SIGNAL_SIGRTMINPLUS3 is SIGRTMIN+3.
const signalPrefix = "SIGNAL_"

// RuntimeSignal is what the runtime calls a signal; nil, and one that it does not know, is what it does by itself.
func RuntimeSignal(s *v1.Signal) runtimeapi.Signal {
	if s == nil {
		return 0
	}
	name := strings.NewReplacer("+", "PLUS", "-", "MINUS").Replace(string(*s))
	return runtimeapi.Signal(runtimeapi.Signal_value[signalPrefix+name])
}

// APISignal is what the API calls a signal of the runtime; nil: it tells none.
func APISignal(s runtimeapi.Signal) *v1.Signal {
	name, known := runtimeapi.Signal_name[int32(s)]
	if s == 0 || !known {
		return nil
	}
	name = strings.NewReplacer("PLUS", "+", "MINUS", "-").Replace(strings.TrimPrefix(name, signalPrefix))
	signal := v1.Signal(name)
	return &signal
}
