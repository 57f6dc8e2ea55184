package endpoints

import (
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestDeletedEndpointsAreMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(&v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web"}, Spec: v1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []v1.ServicePort{{Port: 80}}}})
		l.Run(t, New(l.Informers, l.Client, 0, 1))
		client := l.Client.CoreV1().Endpoints("d")
		time.Sleep(time.Minute)
		if err := client.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := client.Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// A pod that is unready for a moment: the cache that lags shows the Endpoints as they were before, and as they should be again.
func TestWhatIsNotInTheCacheYetIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "p", Labels: map[string]string{"app": "web"}}}
		lab.Running("n")(pod)
		pod.Status.PodIPs = []v1.PodIP{{IP: "10.0.0.1"}}
		l.Seed(pod, &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "web"}, Spec: v1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []v1.ServicePort{{Port: 80}}}})
		l.Run(t, New(l.Informers, l.Client, 0, 1))
		l.Freeze("endpoints")
		for _, ready := range []v1.ConditionStatus{v1.ConditionFalse, v1.ConditionTrue} {
			l.SetPod(t, pod, func(p *v1.Pod) { p.Status.Conditions[0].Status = ready })
			time.Sleep(time.Minute)
		}
		l.Thaw()
		time.Sleep(time.Minute)
		e, err := l.Client.CoreV1().Endpoints("d").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || len(e.Subsets) != 1 || len(e.Subsets[0].Addresses) != 1 {
			t.Errorf("subsets %+v (%v), want one with the address", e.Subsets, err)
		}
	})
}

func TestForSortsAddressesByReadiness(t *testing.T) {
	pod := func(name, ip string, ready v1.ConditionStatus) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.PodSpec{Containers: []v1.Container{{Ports: []v1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
			Status: v1.PodStatus{PodIPs: []v1.PodIP{{IP: ip}}, Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: ready}}}}
	}
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}}}
	e := For(svc, []*v1.Pod{pod("b", "10.0.0.2", v1.ConditionFalse), pod("a", "10.0.0.1", v1.ConditionTrue), pod("c", "127.0.0.1", v1.ConditionTrue)})
	if len(e.Subsets) != 1 || len(e.Subsets[0].Addresses) != 1 || e.Subsets[0].Addresses[0].IP != "10.0.0.1" || len(e.Subsets[0].NotReadyAddresses) != 1 || e.Subsets[0].Ports[0].Port != 8080 {
		t.Errorf("subsets %+v", e.Subsets)
	}
}
