package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
)

func TestNodeDeclaredFeatures(t *testing.T) {
	const feature = "InPlacePodVerticalScalingMemoryBackedVolumes"
	sized := func(node, size string) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Spec.NodeName = node
			p.Spec.Volumes = []corev1.Volume{{Name: "m", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
				Medium: corev1.StorageMediumMemory, SizeLimit: ptr(resource.MustParse(size)),
			}}}}
		})
	}
	plugin := made(t)(newNodeDeclaredFeatures(nil))
	plugin.(*nodeDeclaredFeatures).version = version.MustParse("1.37.0")
	p, _ := prepared(t, plugin, nil,
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "knows"}, Status: corev1.NodeStatus{DeclaredFeatures: []string{feature}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "old"}})
	for node, want := range map[string]string{
		"knows": "", "": "", "gone": "",
		"old": `pod update requires features [` + feature + `] which are not available on node "old"`,
	} {
		expect(t, send(t, p, req{resource: "pods/resize", op: admission.Update, obj: sized(node, "2Gi"), old: sized(node, "1Gi")}), want)
	}
	expect(t, send(t, p, req{resource: "pods", op: admission.Update, obj: sized("old", "1Gi"), old: sized("old", "1Gi")}), "")
	plugin.(*nodeDeclaredFeatures).off = true
	expect(t, send(t, p, req{resource: "pods/resize", op: admission.Update, obj: sized("old", "2Gi"), old: sized("old", "1Gi")}), "")
}
