package observed

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestSignalsComeBackAsTheyWere(t *testing.T) {
	for _, s := range []v1.Signal{v1.SIGTERM, v1.SIGUSR1, v1.SIGRTMIN, v1.SIGRTMINPLUS15, v1.SIGRTMAXMINUS2, v1.SIGRTMAX} {
		if got := APISignal(RuntimeSignal(&s)); got == nil || *got != s {
			t.Errorf("%s comes back as %v", s, got)
		}
	}
	unknown := v1.Signal("SIGNONE")
	if RuntimeSignal(nil) != 0 || RuntimeSignal(&unknown) != 0 || APISignal(0) != nil || APISignal(runtimeapi.Signal(999)) != nil {
		t.Error("no signal is one")
	}
}
