package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// downwardKinds are the two volumes that show a pod to itself, by the words that behaviours have for them.
var downwardKinds = map[string]func(items []v1.DownwardAPIVolumeFile, mode *int32) v1.VolumeSource{
	"Downward API volume": func(items []v1.DownwardAPIVolumeFile, mode *int32) v1.VolumeSource {
		return v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: items, DefaultMode: mode}}
	},
	"Projected downwardAPI": func(items []v1.DownwardAPIVolumeFile, mode *int32) v1.VolumeSource {
		return v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: mode, Sources: []v1.VolumeProjection{{DownwardAPI: &v1.DownwardAPIProjection{Items: items}}}}}
	},
}

// limited gives the pod's container requests and limits.
func limited(p *v1.Pod) {
	p.Spec.Containers[0].Resources = v1.ResourceRequirements{
		Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("50m"), v1.ResourceMemory: resource.MustParse("16Mi")},
		Limits:   v1.ResourceList{v1.ResourceCPU: resource.MustParse("1250m"), v1.ResourceMemory: resource.MustParse("32Mi")},
	}
}

// shows of a container's resource, in units of the divisor; none: whole CPUs and bytes.
func shows(name, divisor string) v1.DownwardAPIVolumeFile {
	of := &v1.ResourceFieldSelector{ContainerName: "c", Resource: name}
	if divisor != "" {
		of.Divisor = resource.MustParse(divisor)
	}
	return v1.DownwardAPIVolumeFile{Path: "file", ResourceFieldRef: of}
}

func TestPodInVolumes(t *testing.T) {
	mode := int32(0o400)
	name := v1.DownwardAPIVolumeFile{Path: "file", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}
	nameForOwner := name
	nameForOwner.Mode = &mode
	for kind, source := range downwardKinds {
		for behaved, c := range map[string]struct {
			item    v1.DownwardAPIVolumeFile
			mode    *int32
			content string
			listed  string
		}{
			"provide podname only":               {name, nil, "p", "-rw-r--r--"},
			"set DefaultMode on files":           {name, &mode, "p", "-r--------"},
			"set mode on item file":              {nameForOwner, nil, "p", "-r--------"},
			"provide container's cpu limit":      {shows("limits.cpu", ""), nil, "2", ""}, // rounded up
			"provide container's cpu request":    {shows("requests.cpu", "1m"), nil, "50", ""},
			"provide container's memory limit":   {shows("limits.memory", ""), nil, strconv.Itoa(32 << 20), ""},
			"provide container's memory request": {shows("requests.memory", "1Mi"), nil, "16", ""},
		} {
			if kind == "Projected downwardAPI" && behaved == "set mode on item file" {
				continue // no behaviour of its own
			}
			t.Run(kind+" "+strings.ReplaceAll(behaved, "'", ""), func(t *testing.T) {
				full := behaved
				if c.mode != nil || c.item.Mode != nil {
					full += " [LinuxOnly]"
				}
				s := behaviour(t, fmt.Sprintf("[sig-storage] %s should %s [NodeConformance]", kind, full))
				pod := s.start(s.mounting([]v1.VolumeSource{source([]v1.DownwardAPIVolumeFile{c.item}, c.mode)}, limited))
				s.holds(pod, "/v0/file", c.content, c.listed)
			})
		}
	}
}

func TestNodeAsLimitInVolumes(t *testing.T) {
	for _, c := range []struct{ kind, resource string }{
		{"Downward API volume", "cpu"}, {"Projected downwardAPI", "cpu"}, {"Projected downwardAPI", "memory"},
	} {
		t.Run(c.kind+" "+c.resource, func(t *testing.T) {
			s := behaviour(t, fmt.Sprintf("[sig-storage] %s should provide node allocatable (%s) as default %s limit if the limit is not set [NodeConformance]", c.kind, c.resource, c.resource))
			pod := s.start(s.mounting([]v1.VolumeSource{downwardKinds[c.kind]([]v1.DownwardAPIVolumeFile{shows("limits."+c.resource, "")}, nil)}))
			node := must[*v1.Node](s)(s.Client.CoreV1().Nodes().Get(s.Context(), pod.Spec.NodeName, metav1.GetOptions{}))
			allocatable := node.Status.Allocatable[v1.ResourceName(c.resource)]
			s.holds(pod, "/v0/file", strconv.FormatInt(allocatable.Value(), 10), "")
		})
	}
}

func TestAnnotationsInVolumes(t *testing.T) {
	for kind, source := range downwardKinds {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-storage] "+kind+" should update annotations on modification [NodeConformance]")
			items := []v1.DownwardAPIVolumeFile{{Path: "file", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.annotations['builder']"}}}
			pod := s.start(s.mounting([]v1.VolumeSource{source(items, nil)}, func(p *v1.Pod) { p.Annotations = map[string]string{"builder": "bar"} }))
			s.holds(pod, "/v0/file", "bar", "")
			must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), pod.Name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"builder":"foo"}}}`), metav1.PatchOptions{}))
			s.shifts(pod, "cat /v0/file", "foo")
		})
	}
}

func TestAllThatCanBeProjected(t *testing.T) {
	s := behaviour(t, "[sig-storage] Projected combined should project all components that make up the projection API [Projection] [NodeConformance]")
	s.keeps("ConfigMap", "object", "config", "of the map")
	s.keeps("Secrets", "object", "secret", "of the secret")
	items := []v1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}}
	for path, item := range map[string]v1.DownwardAPIVolumeFile{"cpu-limit": shows("limits.cpu", "1m"), "cpu-request": shows("requests.cpu", "1m"), "memory-limit": shows("limits.memory", "1Mi"), "memory-request": shows("requests.memory", "1Mi")} {
		item.Path = path
		items = append(items, item)
	}
	source := &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
		{Secret: &v1.SecretProjection{LocalObjectReference: v1.LocalObjectReference{Name: "object"}}},
		{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: v1.LocalObjectReference{Name: "object"}}},
		{DownwardAPI: &v1.DownwardAPIProjection{Items: items}},
	}}
	pod := s.start(s.mounting([]v1.VolumeSource{{Projected: source}}, limited))
	for path, want := range map[string]string{"config": "of the map", "secret": "of the secret", "name": "p", "cpu-limit": "1250", "cpu-request": "50", "memory-limit": "32", "memory-request": "16"} {
		s.holds(pod, "/v0/"+path, want, "")
	}
}
