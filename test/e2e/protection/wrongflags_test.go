package protection

import (
	"strings"
	"testing"
)

// Flags that name versions and features that are not there, or cannot be switched off, end the server with the name.
func TestWrongVersionsAndGates(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"--runtime-config=bach/v1=true":                              "unknown api groups bach/v1",
		"--runtime-config=batch/v7=true":                             "group version batch/v7 that has not been registered",
		"--runtime-config=batch/v1beta1=true":                        "group version batch/v1beta1 that has not been registered",
		"--runtime-config=batch/v1/CronJobs=true":                    "resource is always lowercase plural",
		"--feature-gates=HostnameOveride=false":                      "unrecognized feature gate: HostnameOveride",
		"--feature-gates=SidecarContainers=false":                    "SidecarContainers",
		"--feature-gates=RelaxedEnvironmentVariableValidation=false": "RelaxedEnvironmentVariableValidation",
	} {
		s := start(t, flag)
		<-s.Ended()
		if log := string(s.LastLines(3)); !strings.Contains(log, want) {
			t.Errorf("%s: %s", flag, log)
		}
	}
}
