package core

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func resources(requests, limits string) corev1.Container {
	list := func(text string) corev1.ResourceList {
		if text == "" {
			return nil
		}
		out := corev1.ResourceList{}
		for _, pair := range strings.Split(text, ",") {
			name, value, _ := strings.Cut(pair, "=")
			out[corev1.ResourceName(name)] = resource.MustParse(value)
		}
		return out
	}
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list(requests), Limits: list(limits)}}
}

func TestQOSClass(t *testing.T) {
	for _, tt := range []struct {
		name       string
		containers []corev1.Container
		want       corev1.PodQOSClass
	}{
		{"nothing asked", []corev1.Container{resources("", "")}, corev1.PodQOSBestEffort},
		{"only other resources", []corev1.Container{resources("ephemeral-storage=1Gi", "")}, corev1.PodQOSBestEffort},
		{"zero is nothing", []corev1.Container{resources("cpu=0", "memory=0")}, corev1.PodQOSBestEffort},
		{"a request", []corev1.Container{resources("cpu=1", "")}, corev1.PodQOSBurstable},
		{"limits without requests", []corev1.Container{resources("", "cpu=1,memory=1Gi")}, corev1.PodQOSBurstable},
		{"limits equal requests", []corev1.Container{resources("cpu=1,memory=1Gi", "cpu=1,memory=1Gi")}, corev1.PodQOSGuaranteed},
		{"limits above requests", []corev1.Container{resources("cpu=1,memory=1Gi", "cpu=2,memory=1Gi")}, corev1.PodQOSBurstable},
		{"no memory limit", []corev1.Container{resources("cpu=1", "cpu=1")}, corev1.PodQOSBurstable},
		{"one of two", []corev1.Container{resources("cpu=1,memory=1Gi", "cpu=1,memory=1Gi"), resources("", "")}, corev1.PodQOSBurstable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := QOSClass(&corev1.Pod{Spec: corev1.PodSpec{Containers: tt.containers}}); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	whole := resources("cpu=1,memory=1Gi", "cpu=1,memory=1Gi").Resources
	p := &corev1.Pod{Spec: corev1.PodSpec{Resources: &whole, Containers: []corev1.Container{resources("", "")}}}
	if got := QOSClass(p); got != corev1.PodQOSGuaranteed {
		t.Errorf("resources of the whole pod: got %s", got)
	}
}

// The columns READY, STATUS and RESTARTS as users read them.
func TestPodColumns(t *testing.T) {
	running := func(name string, restarts int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, Ready: true, RestartCount: restarts, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	}
	waiting := func(name, reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	}
	ended := func(name, reason string, code, signal int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, Signal: signal}}}
	}
	always := corev1.ContainerRestartPolicyAlways
	for _, tt := range []struct {
		name string
		pod  corev1.Pod
		want string
	}{
		{"pending", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, "0/2 Pending 0"},
		{"creating", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{waiting("a", "ContainerCreating")}}}, "0/2 ContainerCreating 0"},
		{"running", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{running("a", 1), running("b", 2)}}}, "2/2 Running 3"},
		{"crashing", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{waiting("a", "CrashLoopBackOff"), running("b", 0)}}}, "1/2 CrashLoopBackOff 0"},
		{"completed", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{ended("a", "Completed", 0, 0)}}}, "0/2 Completed 0"},
		{"failed", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{ended("a", "", 3, 0)}}}, "0/2 ExitCode:3 0"},
		{"killed", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{ended("a", "", 137, 9)}}}, "0/2 Signal:9 0"},
		{"evicted", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}}, "0/2 Evicted 0"},
		{"terminating", corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: time.Now()}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}, "0/2 Terminating 0"},
		{"lost", corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: time.Now()}}, Status: corev1.PodStatus{Phase: corev1.PodRunning, Reason: "NodeLost"}}, "0/2 Unknown 0"},
		{"gated", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: "SchedulingGated"}}}}, "0/2 SchedulingGated 0"},
		{"initializing", corev1.Pod{
			Spec:   corev1.PodSpec{InitContainers: []corev1.Container{{Name: "i"}, {Name: "j"}}},
			Status: corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{ended("i", "Completed", 0, 0), waiting("j", "PodInitializing")}},
		}, "0/2 Init:1/2 0"},
		{"init failed", corev1.Pod{
			Spec:   corev1.PodSpec{InitContainers: []corev1.Container{{Name: "i"}}},
			Status: corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{ended("i", "Error", 1, 0)}},
		}, "0/2 Init:Error 0"},
		{"sidecar", corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "s", RestartPolicy: &always}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, InitContainerStatuses: []corev1.ContainerStatus{func() corev1.ContainerStatus {
				s, started := running("s", 1), true
				s.Started = &started
				return s
			}()}, ContainerStatuses: []corev1.ContainerStatus{running("a", 0), running("b", 0)}},
		}, "3/3 Running 1"},
		{"half done", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{ended("a", "Completed", 0, 0), running("b", 0)}}}, "1/2 NotReady 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.pod.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
			s := summarize(&tt.pod)
			if got := fmt.Sprintf("%d/%d %s %s", s.ready, s.total, s.reason, s.restartText()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Who writes a status may tell one address or all, and both are kept the same.
func TestPodAddresses(t *testing.T) {
	old := &corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}}}
	for _, tt := range []struct {
		name   string
		status corev1.PodStatus
		ip     string
		ips    int
	}{
		{"the list", corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.2"}, {IP: "fd00::2"}}}, "10.0.0.2", 2},
		{"the single one", corev1.PodStatus{PodIP: "10.0.0.2"}, "10.0.0.2", 1},
		{"the single one beside an old list", corev1.PodStatus{PodIP: "10.0.0.2", PodIPs: old.Status.PodIPs}, "10.0.0.2", 1},
		{"none", corev1.PodStatus{}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &corev1.Pod{Status: tt.status}
			preparePodStatus(t.Context(), p, old)
			if p.Status.PodIP != tt.ip || len(p.Status.PodIPs) != tt.ips {
				t.Errorf("got %q and %v", p.Status.PodIP, p.Status.PodIPs)
			}
		})
	}
}

// The values of a new pod's own labels become part of the selectors that name their keys (KEP-3633).
func TestAffinityToOwnRevision(t *testing.T) {
	term := func() corev1.PodAffinityTerm {
		return corev1.PodAffinityTerm{LabelSelector: &metav1.LabelSelector{}, MatchLabelKeys: []string{"revision", "missing"}, MismatchLabelKeys: []string{"tenant"}}
	}
	want := []metav1.LabelSelectorRequirement{
		{Key: "revision", Operator: metav1.LabelSelectorOpIn, Values: []string{"7"}},
		{Key: "tenant", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"t"}},
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"revision": "7", "tenant": "t", "other": "o"}},
		Spec: corev1.PodSpec{Affinity: &corev1.Affinity{
			PodAffinity: &corev1.PodAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{term(), {MatchLabelKeys: []string{"revision"}}},
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{PodAffinityTerm: term()}},
			},
			PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term()}},
		}},
	}
	preparePod(t.Context(), p)
	to, from := p.Spec.Affinity.PodAffinity, p.Spec.Affinity.PodAntiAffinity
	for _, got := range []corev1.PodAffinityTerm{
		to.RequiredDuringSchedulingIgnoredDuringExecution[0],
		to.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm,
		from.RequiredDuringSchedulingIgnoredDuringExecution[0],
	} {
		if !reflect.DeepEqual(got.LabelSelector.MatchExpressions, want) {
			t.Errorf("selector: %v", got.LabelSelector)
		}
	}
	if got := to.RequiredDuringSchedulingIgnoredDuringExecution[1].LabelSelector; got != nil {
		t.Errorf("a selector came from nowhere: %v", got)
	}
}

// Spread constraints count only pods that share the new pod's values of matchLabelKeys (KEP-3243).
func TestSpreadOfOwnRevision(t *testing.T) {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "a", "revision": "7"}},
		Spec: corev1.PodSpec{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{
			{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}, MatchLabelKeys: []string{"revision", "missing"}},
			{LabelSelector: &metav1.LabelSelector{}},
			{MatchLabelKeys: []string{"revision"}},
		}},
	}
	preparePod(t.Context(), p)
	for i, want := range []string{"app=a,revision in (7)", "<none>", "<none>"} {
		if got := metav1.FormatLabelSelector(p.Spec.TopologySpreadConstraints[i].LabelSelector); got != want {
			t.Errorf("constraint %d selects %q, want %q", i, got, want)
		}
	}
}
