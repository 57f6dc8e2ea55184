package protection

import (
	"strings"
	"testing"

	"pilotis.dev/test/e2e/daemons"
)

// Of two API servers, one has batch/v1. The other passes requests for it on, as the user who asks it, and shows it in
// discovery; what neither has is not found, and what a CustomResourceDefinition brings comes from the server itself.
func TestPeersServeForEachOther(t *testing.T) {
	t.Parallel()
	peers := []string{"--peer-ca-file=" + certificates.At("ca.crt"), "--peer-advertise-ip=127.0.0.1"}
	older := startOn(t, "older", append(peers, "--runtime-config=batch/v1=false")...)
	must(t, daemons.AwaitReady(older.admin))
	newer := startOn(t, "newer", peers...)
	must(t, daemons.AwaitReady(newer.admin))

	jobs := "/apis/batch/v1/namespaces/default/jobs"
	daemons.Eventually(t, "jobs by way of the other server", func() (string, bool) {
		got := get(t, older.admin, jobs)
		return got.String(), got.code == 200 && strings.Contains(got.body, `"kind":"JobList"`)
	})
	if got := get(t, older.as(t, "nobody"), jobs); got.code != 403 || !strings.Contains(got.body, `User \"nobody\" cannot list`) {
		t.Errorf("a user without rights: %v", got)
	}
	job := `{"metadata":{"name":"j"},"spec":{"suspend":true,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"example.org/i:1"}]}}}}`
	if got := send(t, older.admin, "POST", jobs, job); got.code != 201 {
		t.Errorf("a Job: %v", got)
	}
	if got := get(t, newer.admin, jobs+"/j"); got.code != 200 {
		t.Errorf("the Job at the other server: %v", got)
	}
	if got := get(t, older.admin, "/apis/batch/v7/jobs"); got.code != 404 {
		t.Errorf("a version that nobody has: %v", got)
	}
	discovery := []string{"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
	daemons.Eventually(t, "jobs in discovery", func() (string, bool) {
		got := get(t, older.admin, "/apis", discovery...)
		return got.String(), strings.Contains(got.body, `"resource":"cronjobs"`)
	})
	if metrics := get(t, older.admin, "/metrics").body; !strings.Contains(metrics, `apiserver_rerouted_request_total{code="201"`) {
		t.Error("no metric of what was passed on")
	}
}

// Flags that cannot be meant end the server with the flag and the reason.
func TestPeerFlags(t *testing.T) {
	t.Parallel()
	for want, flags := range map[string][]string{
		"UnknownVersionInteroperabilityProxy": {"--peer-ca-file=" + certificates.At("ca.crt"), "--feature-gates=UnknownVersionInteroperabilityProxy=false"},
		"--proxy-client-cert-file":            {"--peer-ca-file=" + certificates.At("ca.crt"), "!--proxy-client-cert-file", "!--proxy-client-key-file"},
		"--peer-advertise-port=0":             {"--peer-advertise-port=0"},
		"--peer-advertise-ip=here":            {"--peer-advertise-ip=here"},
	} {
		s := start(t, flags...)
		<-s.Ended()
		if log := string(s.LastLines(3)); !strings.Contains(log, want) {
			t.Errorf("%v: %s", flags, log)
		}
	}
}
