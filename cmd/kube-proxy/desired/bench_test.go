package desired

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// BenchmarkTracker takes one changed EndpointSlice in and gives the Service's new ports, among so many Services.
func BenchmarkTracker(b *testing.B) {
	for _, services := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			t := NewTracker(v1.IPv4Protocol, Node{Name: "a"})
			var slices []*discoveryv1.EndpointSlice
			for i := range services {
				s, e := service(), slice(state{address: fmt.Sprintf("10.244.%d.%d", i>>8, i&255), node: "a"}, state{address: fmt.Sprintf("10.245.%d.%d", i>>8, i&255), node: "b"})
				s.Name = fmt.Sprintf("web-%d", i)
				s.Spec.ClusterIPs = []string{fmt.Sprintf("10.96.%d.%d", i>>8, i&255)}
				e.Name, e.Labels = s.Name, map[string]string{discoveryv1.LabelServiceName: s.Name}
				t.SetService(s)
				t.SetSlice(e)
				slices = append(slices, e)
			}
			t.Changes()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				t.SetSlice(slices[i%services])
				if got := t.Changes(); len(got) != 1 {
					b.Fatal(len(got))
				}
			}
		})
	}
}
