package chaos

import (
	"net/url"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

// metricsOf serves the resource metrics of the pods of the namespace default, which share a load of so many millicores.
func metricsOf(c *Case, load int) func(path string, _ url.Values) (any, bool) {
	return func(path string, _ url.Values) (any, bool) {
		if !strings.HasPrefix(path, "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods") {
			return nil, false
		}
		list := &metricsv1beta1.PodMetricsList{TypeMeta: metav1.TypeMeta{APIVersion: "metrics.k8s.io/v1beta1", Kind: "PodMetricsList"}}
		c.Server.Locked(func() {
			var running []*v1.Pod
			for _, pod := range all[v1.Pod](c) {
				if active(pod) && pod.Status.Phase == v1.PodRunning {
					running = append(running, pod)
				}
			}
			for _, pod := range running {
				use := resource.NewMilliQuantity(int64(load/len(running)), resource.DecimalSI)
				list.Items = append(list.Items, metricsv1beta1.PodMetrics{
					ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}, Timestamp: metav1.Now(), Window: metav1.Duration{Duration: 30 * time.Second},
					Containers: []metricsv1beta1.ContainerMetrics{{Name: "c", Usage: v1.ResourceList{v1.ResourceCPU: *use}}},
				})
			}
		})
		return list, true
	}
}
