package conformance

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// replicationController makes one whose pods never become ready to run (no node has what they select), and waits
// until it has them all.
func (s *space) replicationController(name string, replicas int32) *v1.ReplicationController {
	s.Helper()
	labels := map[string]string{"rc": name}
	template := podTemplate(s.pod("", "sleep 3600", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"tests.pilotis.dev/no": "node"} }).Spec, labels)
	rc := must[*v1.ReplicationController](s)(s.Client.CoreV1().ReplicationControllers(s.Namespace).Create(s.Context(), &v1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ReplicationControllerSpec{Replicas: &replicas, Selector: labels, Template: &template},
	}, metav1.CreateOptions{}))
	s.eventually("the pods of "+name, func() (any, bool) {
		n := len(s.podsOf(name))
		return n, n == int(replicas)
	})
	return rc
}

func (s *space) podsOf(rc string) []v1.Pod {
	s.Helper()
	return must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "rc=" + rc})).Items
}

func (s *space) deleteController(rc *v1.ReplicationController, how metav1.DeletionPropagation) {
	s.Helper()
	if err := s.Client.CoreV1().ReplicationControllers(s.Namespace).Delete(s.Context(), rc.Name, metav1.DeleteOptions{PropagationPolicy: &how, Preconditions: metav1.NewUIDPreconditions(string(rc.UID))}); err != nil {
		s.Fatal(err)
	}
}

func (s *space) controllerGone(rc *v1.ReplicationController) bool {
	s.Helper()
	_, err := s.Client.CoreV1().ReplicationControllers(s.Namespace).Get(s.Context(), rc.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.Fatal(err)
	}
	return err != nil
}

func TestBackgroundDeletion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning")
	rc := s.replicationController("rc", 2)
	s.deleteController(rc, metav1.DeletePropagationBackground)
	s.eventually("the pods to go after their controller", func() (any, bool) {
		n := len(s.podsOf("rc"))
		return n, n == 0 && s.controllerGone(rc)
	})
}

func TestOrphaningDeletion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so [Serial]")
	rc := s.replicationController("rc", 10)
	s.deleteController(rc, metav1.DeletePropagationOrphan)
	s.eventually("the controller to go and its pods to be nobody's", func() (any, bool) {
		pods := s.podsOf("rc")
		for _, p := range pods {
			if len(p.OwnerReferences) > 0 || p.DeletionTimestamp != nil {
				return p.ObjectMeta, false
			}
		}
		return len(pods), len(pods) == 10 && s.controllerGone(rc)
	})
}

func TestForegroundDeletion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so [Serial]")
	rc := s.replicationController("rc", 10)
	held := s.podsOf("rc")[0]
	s.patchPod(held.Name, `{"metadata":{"finalizers":["`+testFinalizer+`"]}}`)
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = s.Client.CoreV1().Pods(s.Namespace).Patch(s.cleanupContext(), held.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		}
	})
	s.deleteController(rc, metav1.DeletePropagationForeground)
	s.eventually("all pods but the held one to go", func() (any, bool) {
		pods := s.podsOf("rc")
		return len(pods), len(pods) == 1 && pods[0].Name == held.Name && pods[0].DeletionTimestamp != nil
	})
	if s.controllerGone(rc) {
		t.Error("the controller has gone before its last pod")
	}
	s.patchPod(held.Name, `{"metadata":{"finalizers":null}}`)
	s.eventually("the controller to go with its last pod", func() (any, bool) {
		n := len(s.podsOf("rc"))
		return n, n == 0 && s.controllerGone(rc)
	})
}

func (s *space) patchPod(name, patch string) {
	s.Helper()
	must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}))
}

func ownedBy(kind, name string, uid types.UID) string {
	return fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":%q,"name":%q,"uid":%q}]}}`, kind, name, uid)
}

func TestTwoOwners(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted [Serial]")
	leaving, staying := s.replicationController("leaving", 10), s.replicationController("staying", 0)
	shared := map[string]bool{}
	for _, p := range s.podsOf("leaving")[:5] {
		s.patchPod(p.Name, ownedBy("ReplicationController", staying.Name, staying.UID))
		shared[p.Name] = true
	}
	s.deleteController(leaving, metav1.DeletePropagationForeground)
	s.eventually("the one controller to go with the pods that are only its", func() (any, bool) {
		n := len(s.podsOf("leaving"))
		return n, n == 5 && s.controllerGone(leaving)
	})
	for _, p := range s.podsOf("leaving") {
		if !shared[p.Name] || p.DeletionTimestamp != nil || len(p.OwnerReferences) != 1 || p.OwnerReferences[0].UID != staying.UID {
			t.Errorf("pod %s is left with deletionTimestamp %v and owners %v", p.Name, p.DeletionTimestamp, p.OwnerReferences)
		}
	}
}

func TestCircleOfOwners(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Garbage collector should not be blocked by dependency circle")
	var pods []*v1.Pod
	for i := range 3 {
		pods = append(pods, must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod(fmt.Sprintf("pod%d", i+1), "sleep 3600"), metav1.CreateOptions{})))
	}
	for i, p := range pods {
		owner := pods[(i+2)%3]
		s.patchPod(p.Name, ownedBy("Pod", owner.Name, owner.UID))
	}
	how := metav1.DeletePropagationForeground
	if err := s.Client.CoreV1().Pods(s.Namespace).Delete(s.Context(), "pod1", metav1.DeleteOptions{PropagationPolicy: &how}); err != nil {
		t.Fatal(err)
	}
	s.eventually("all three pods to go", func() (any, bool) {
		list := must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{}))
		return len(list.Items), len(list.Items) == 0
	})
}
