package conformance

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// scopedQuota applies a ResourceQuota of what a scope selector matches, and waits until it counts nothing.
func (s *space) scopedQuota(hard, expression string) {
	s.Helper()
	name, _, _ := strings.Cut(hard, ":")
	s.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {" + hard + "}, scopeSelector: {matchExpressions: [{" + expression + "}]}}\n")
	s.eventually("the quota q to have its status", func() (any, bool) {
		q := s.quotaNow("q")
		return q.Status, len(q.Status.Used) == 1
	})
	s.uses("q", name+" 0")
}

// exceeds checks that the quota q is the reason of a refusal.
func (s *space) exceeds(err error) {
	s.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: q") {
		s.Errorf("one more than the quota has: %v", err)
	}
}

// nowhere keeps a pod from any node.
func nowhere(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"tests.pilotis.dev/none": "none"} }

func TestQuotaOfPriorityClasses(t *testing.T) {
	s := documented(t, "[sig-api-machinery] ResourceQuota should count the pods of its priority classes")
	s.createClusterWide(schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"},
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: SPACE}, value: 1, preemptionPolicy: Never}")
	s.scopedQuota("pods: 1", "scopeName: PriorityClass, operator: In, values: ["+s.Namespace+"]")
	important := func(p *v1.Pod) { p.Spec.PriorityClassName = s.Namespace }
	if err := s.createPod(s.pod("common", "true", nowhere)); err != nil {
		t.Fatal(err)
	}
	if err := s.createPod(s.pod("first", "true", nowhere, important)); err != nil {
		t.Fatal(err)
	}
	s.uses("q", "pods 1")
	s.exceeds(s.createPod(s.pod("second", "true", nowhere, important)))
	if err := s.createPod(s.pod("another", "true", nowhere)); err != nil {
		t.Error(err)
	}
	s.deletePod("first")
	s.uses("q", "pods 0")
}

func TestQuotaOfAffinityAcrossNamespaces(t *testing.T) {
	s := documented(t, "[sig-api-machinery] ResourceQuota should count pods with affinity to other namespaces")
	s.scopedQuota("pods: 0", "scopeName: CrossNamespacePodAffinity, operator: Exists")
	near := func(namespaces ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey: v1.LabelHostname, Namespaces: namespaces, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			}}}}
		}
	}
	if err := s.createPod(s.pod("here", "true", nowhere, near())); err != nil {
		t.Error(err)
	}
	s.exceeds(s.createPod(s.pod("there", "true", nowhere, near("default"))))
	s.exceeds(s.createPod(s.pod("everywhere", "true", nowhere, near(), func(p *v1.Pod) {
		p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].NamespaceSelector = &metav1.LabelSelector{}
	})))
}

func TestQuotaOfVolumeAttributesClasses(t *testing.T) {
	s := documented(t, "[sig-api-machinery] ResourceQuota should count the claims of its volume attributes classes")
	s.scopedQuota("persistentvolumeclaims: 1", "scopeName: VolumeAttributesClass, operator: In, values: [gold]")
	claim := func(name, class string) error {
		_, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Create(s.Context(), &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: new(string), VolumeAttributesClassName: &class, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, Resources: v1.VolumeResourceRequirements{Requests: amounts("storage 1Mi")},
		}}, metav1.CreateOptions{})
		return err
	}
	for name, class := range map[string]string{"common": "silver", "first": "gold"} {
		if err := claim(name, class); err != nil {
			t.Fatal(err)
		}
	}
	s.uses("q", "persistentvolumeclaims 1")
	s.exceeds(claim("second", "gold"))
	if err := claim("another", "silver"); err != nil {
		t.Error(err)
	}
}
