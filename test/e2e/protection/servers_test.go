package protection

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/e2e/daemons"
)

// The endpoints of the Service kubernetes are the servers that live: one that stops takes itself out, one that is killed is
// taken out by the others when its lease is over.
func TestServersShareTheKubernetesService(t *testing.T) {
	t.Parallel()
	server := func(address string) *server {
		return serve(t, "--advertise-address="+address, "--endpoint-reconciler-type=lease")
	}
	first, second, third := server("192.0.2.1"), server("192.0.2.2"), server("192.0.2.3")
	are := func(want ...string) {
		t.Helper()
		daemons.Eventually(t, fmt.Sprintf("endpoints %v", want), func() (string, bool) {
			slice, err := first.client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
			if err != nil {
				return err.Error(), false
			}
			var got []string
			for _, e := range slice.Endpoints {
				got = append(got, e.Addresses...)
			}
			slices.Sort(got)
			return fmt.Sprint(got), slices.Equal(got, want)
		})
	}
	are("192.0.2.1", "192.0.2.2", "192.0.2.3")
	must(t, second.Stop())
	are("192.0.2.1", "192.0.2.3")
	third.Kill()
	are("192.0.2.1")
}
