package conformance

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// needs are requests and limits of CPU and memory; an empty text leaves one out.
func needs(cpuRequest, cpuLimit, memoryRequest, memoryLimit string) v1.ResourceRequirements {
	list := func(cpu, memory string) v1.ResourceList {
		out := v1.ResourceList{}
		if cpu != "" {
			out[v1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			out[v1.ResourceMemory] = resource.MustParse(memory)
		}
		return out
	}
	return v1.ResourceRequirements{Requests: list(cpuRequest, memoryRequest), Limits: list(cpuLimit, memoryLimit)}
}

// needing is a pod with a container c0, c1 … for each of the needs.
func (s *space) needing(each ...v1.ResourceRequirements) *v1.Pod {
	return s.pod("p", "", func(p *v1.Pod) {
		p.Spec.Containers = nil
		for i, r := range each {
			p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: fmt.Sprintf("c%d", i), Image: image, Command: []string{"sleep", "300"}, Resources: r})
		}
	})
}

// has waits until every container runs with these needs, and checks that none was restarted.
func (s *space) has(pod *v1.Pod, each ...v1.ResourceRequirements) {
	s.Helper()
	pod = s.await(pod, "resized", func(p *v1.Pod) bool {
		for i, want := range each {
			c := containerStatus(p, fmt.Sprintf("c%d", i))
			if c == nil || c.Resources == nil || !equality.Semantic.DeepEqual(c.Resources.Requests, want.Requests) || !equality.Semantic.DeepEqual(c.Resources.Limits, want.Limits) {
				return false
			}
		}
		return p.Status.ObservedGeneration == p.Generation
	})
	for i, want := range each {
		name := fmt.Sprintf("c%d", i)
		if c := containerStatus(pod, name); c.RestartCount != 0 || c.State.Running == nil {
			s.Errorf("container %s is %+v after %d restarts", name, c.State, c.RestartCount)
		}
		if got := pod.Spec.Containers[i].Resources; !equality.Semantic.DeepEqual(got, want) {
			s.Errorf("the pod says of %s %v, want %v", name, got, want)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodResizePending || c.Type == v1.PodResizeInProgress {
			s.Errorf("after the resize there is the condition %+v", c)
		}
	}
}

func containerStatus(p *v1.Pod, name string) *v1.ContainerStatus {
	for i := range p.Status.ContainerStatuses {
		if p.Status.ContainerStatuses[i].Name == name {
			return &p.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// resizes patches the resize subresource with new needs of the container c0, c1 …
func (s *space) resizes(patches ...string) {
	s.Helper()
	list := ""
	for i, patch := range patches {
		if patch != "" {
			list += fmt.Sprintf(`,{"name":"c%d","resources":%s}`, i, patch)
		}
	}
	must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), "p", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[`+list[1:]+`]}}`), metav1.PatchOptions{}, "resize"))
}

func TestResizeOfSixContainers(t *testing.T) {
	s := behaviour(t, "[sig-node] Pod InPlace Resize Container burstable pods - extended 6 containers - various operations performed (including adding limits and requests) [MinimumKubeletVersion:1.34]")
	pod := s.start(s.needing(
		v1.ResourceRequirements{}, needs("10m", "", "", ""), needs("", "", "16Mi", ""), needs("10m", "50m", "16Mi", "32Mi"), needs("10m", "50m", "16Mi", "32Mi"), needs("10m", "50m", "16Mi", "32Mi"),
	))
	s.resizes(
		`{"requests":{"cpu":"10m","memory":"16Mi"}}`,            // requests added
		`{"limits":{"cpu":"50m"}}`,                              // a limit added
		`{"requests":{"cpu":"15m"},"limits":{"memory":"48Mi"}}`, // of both kinds
		`{"requests":{"cpu":"20m"},"limits":{"cpu":"60m"}}`,     // more CPU
		`{"requests":{"memory":"20Mi"},"limits":{"memory":"40Mi"}}`,
		`{"requests":{"cpu":"5m"},"limits":{"cpu":"40m"}}`, // less CPU
	)
	s.has(pod, needs("10m", "", "16Mi", ""), needs("10m", "50m", "", ""), needs("15m", "", "16Mi", "48Mi"), needs("20m", "60m", "16Mi", "32Mi"), needs("10m", "50m", "20Mi", "40Mi"), needs("5m", "40m", "16Mi", "32Mi"))
}

func TestResizeToEquivalents(t *testing.T) {
	s := behaviour(t, "[sig-node] Pod InPlace Resize Container burstable pods - extended resize with equivalents [MinimumKubeletVersion:1.34]")
	// The kernel has two shares of CPU at the least, and ten thousandths of a CPU: these are the same to it.
	pod := s.start(s.needing(needs("2m", "10m", "", "")))
	s.resizes(`{"requests":{"cpu":"1m"},"limits":{"cpu":"5m"}}`)
	s.has(pod, needs("1m", "5m", "", ""))
}

func TestReplacedResources(t *testing.T) {
	s := behaviour(t, "[sig-node] Pod InPlace Resize Container resize pod via the replace endpoint [MinimumKubeletVersion:1.34]")
	client := s.Client.CoreV1().Pods(s.Namespace)
	pod := s.start(s.needing(needs("10m", "50m", "16Mi", "32Mi")))
	want := needs("20m", "60m", "24Mi", "40Mi")
	s.eventually("an update without conflict", func() (any, bool) {
		now := must[*v1.Pod](s)(client.Get(s.Context(), "p", metav1.GetOptions{}))
		now.Spec.Containers[0].Resources = want
		_, err := client.UpdateResize(s.Context(), "p", now, metav1.UpdateOptions{})
		return err, err == nil
	})
	s.has(pod, want)
	s.eventually("the subresource to tell the pod", func() (any, bool) {
		now := must[*v1.Pod](s)(client.Get(s.Context(), "p", metav1.GetOptions{}))
		sub := &v1.Pod{}
		if err := s.Client.CoreV1().RESTClient().Get().Namespace(s.Namespace).Resource("pods").Name("p").SubResource("resize").Do(s.Context()).Into(sub); err != nil {
			t.Fatal(err)
		}
		return sub, equality.Semantic.DeepEqual(now, sub)
	})
}
