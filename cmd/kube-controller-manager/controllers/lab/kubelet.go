package lab

import (
	"context"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// Pods returns the pods of the server, by name.
func (l *Lab) Pods() map[string]*v1.Pod {
	l.mu.Lock()
	defer l.mu.Unlock()
	pods := map[string]*v1.Pod{}
	for _, obj := range l.objects[podResource] {
		pod := obj.DeepCopyObject().(*v1.Pod)
		pods[pod.Name] = pod
	}
	return pods
}

// SetPod changes a pod as a kubelet would; change edits the copy that is written.
func (l *Lab) SetPod(t testing.TB, pod *v1.Pod, change func(*v1.Pod)) {
	t.Helper()
	fresh, err := l.Client.CoreV1().Pods(pod.Namespace).Get(context.Background(), pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(fresh)
	if _, err := l.Client.CoreV1().Pods(pod.Namespace).UpdateStatus(context.Background(), fresh, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Running makes a pod run and ready on node.
func Running(node string) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		now := metav1.Now()
		pod.Spec.NodeName = node
		pod.Status.Phase = v1.PodRunning
		pod.Status.StartTime = &now
		pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: now}}
	}
}

// Ended lets a pod's containers exit with code.
func Ended(code int32) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		now := metav1.Now()
		pod.Status.Phase = v1.PodSucceeded
		if code != 0 {
			pod.Status.Phase = v1.PodFailed
		}
		pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionFalse, LastTransitionTime: now}}
		pod.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "c", State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code, FinishedAt: now}}}}
	}
}

// RunAll makes all pods run that are not being deleted, and lets those go that are. It returns how many it changed.
func (l *Lab) RunAll(t testing.TB) int {
	t.Helper()
	n := 0
	for _, pod := range l.Pods() {
		switch {
		case pod.DeletionTimestamp != nil:
			n++
			l.Gone(t, pod)
		case pod.Status.Phase == v1.PodPending:
			n++
			l.SetPod(t, pod, Running("node"))
		}
	}
	return n
}

// Gone ends a pod that is being deleted, as the kubelet does when its containers have stopped.
func (l *Lab) Gone(t testing.TB, pod *v1.Pod) {
	t.Helper()
	if len(pod.Finalizers) > 0 {
		l.SetPod(t, pod, func(p *v1.Pod) { p.Status.Phase = v1.PodFailed })
	}
	zero := int64(0)
	err := l.Client.CoreV1().Pods(pod.Namespace).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
	if err != nil {
		t.Fatal(err)
	}
}
