package apiserver

import (
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// scaledToZero is an autoscaler that takes the last replica away when a queue is empty.
func scaledToZero() *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{GenerateName: "idle-"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		MinReplicas: ptr.To[int32](0), MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d"},
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "queue"}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: ptr.To(quantity.MustParse("1"))},
		}}},
	}}
}

func named(hostname string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"}, Spec: corev1.PodSpec{
		HostnameOverride: ptr.To(hostname), Containers: []corev1.Container{{Name: "c", Image: "example.org/i:1"}}}}
}

// Beta features are on, and off for who says so.
func TestBetaGates(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	made(shared.client.AutoscalingV2().HorizontalPodAutoscalers(ns).Create(t.Context(), scaledToZero(), metav1.CreateOptions{})).or(t)
	if p := made(shared.client.CoreV1().Pods(ns).Create(t.Context(), named("h"), metav1.CreateOptions{})).or(t); p.Spec.HostnameOverride == nil {
		t.Error("by default, hostnameOverride is dropped")
	}
	off := another(t, "/betas-off", "--feature-gates=HPAScaleToZero=false,HostnameOverride=false")
	ns = off.namespace(t)
	_, err := off.client.AutoscalingV2().HorizontalPodAutoscalers(ns).Create(t.Context(), scaledToZero(), metav1.CreateOptions{})
	refused(t, "HPAScaleToZero=false", err, apierrors.IsInvalid)
	if p := made(off.client.CoreV1().Pods(ns).Create(t.Context(), named("h"), metav1.CreateOptions{})).or(t); p.Spec.HostnameOverride != nil {
		t.Error("HostnameOverride=false: the field is kept")
	}
}

// An alpha gate opens what is refused without it.
func TestAlphaGates(t *testing.T) {
	t.Parallel()
	on := another(t, "/alphas-on", "--feature-gates=MutablePVNodeAffinity=true,PodLogsQuerySplitStreams=true")
	at := func(zone string) *corev1.VolumeNodeAffinity {
		return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}}}}}}
	}
	for s, open := range map[*server]bool{shared: false, on: true} {
		volumes := s.client.CoreV1().PersistentVolumes()
		v := made(volumes.Create(t.Context(), &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{GenerateName: "v-"}, Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: quantity.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "example.org", VolumeHandle: "h"}}, NodeAffinity: at("a"),
		}}, metav1.CreateOptions{})).or(t)
		v.Spec.NodeAffinity = at("b")
		_, err := volumes.Update(t.Context(), v, metav1.UpdateOptions{})
		if refused := apierrors.IsInvalid(err); refused == open || err != nil && !refused {
			t.Errorf("open=%t: another zone of a volume: %v", open, err)
		}
		ns := s.namespace(t)
		p := made(s.client.CoreV1().Pods(ns).Create(t.Context(), named("h"), metav1.CreateOptions{})).or(t)
		_, err = s.client.CoreV1().Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{Stream: ptr.To(corev1.LogStreamStdout)}).DoRaw(t.Context())
		if refused := apierrors.IsInvalid(err); refused == open || err != nil && !refused {
			t.Errorf("open=%t: one stream of a log: %v", open, err)
		}
	}
}

// A server that emulates the release before has no kinds of this one, and all others.
func TestEmulatedVersion(t *testing.T) {
	t.Parallel()
	s := another(t, "/emulated", "--emulated-version=1.36")
	old, now := s.listed(t), shared.listed(t)
	newer := map[string]bool{
		"certificates.k8s.io/v1 clustertrustbundles": true, "certificates.k8s.io/v1 podcertificaterequests": true,
		"resource.k8s.io/v1 devicetaintrules": true, "storagemigration.k8s.io/v1 storageversionmigrations": true,
	}
	for name := range now {
		parent, _, _ := strings.Cut(strings.SplitN(name, " ", 2)[1], "/")
		gv, _, _ := strings.Cut(name, " ")
		if group, _, _ := strings.Cut(gv, "/"); strings.HasSuffix(group, "example.com") {
			continue // a definition of another test, on the shared server alone
		}
		if _, got := old[name]; got == newer[gv+" "+parent] {
			t.Errorf("%s is served: %t", name, got)
		}
	}
	ns := s.namespace(t)
	made(s.client.CoreV1().Pods(ns).Create(t.Context(), named("h"), metav1.CreateOptions{})).or(t)
}
