package conformance

import (
	"io"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/e2e/testimage"
)

// image holds busybox and the programs of test/e2e: witness and testserver.
const image = testimage.Name

// pod is a pod of the test image that runs a shell command; it ends at once when it is deleted.
func (s *space) pod(name, command string, change ...func(*v1.Pod)) *v1.Pod {
	grace := int64(0)
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace},
		Spec: v1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			RestartPolicy:                 v1.RestartPolicyNever,
			Containers:                    []v1.Container{{Name: "c", Image: image, Command: []string{"sh", "-c", command}}},
		},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

// start creates the pod and waits until it is Ready.
func (s *space) start(pod *v1.Pod) *v1.Pod {
	s.Helper()
	created := must[*v1.Pod](s)(s.Client.CoreV1().Pods(pod.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}))
	return s.await(created, "Ready", func(p *v1.Pod) bool {
		return slices.ContainsFunc(p.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == v1.PodReady && c.Status == v1.ConditionTrue })
	})
}

// await waits until the pod is as wanted, and gives it.
func (s *space) await(pod *v1.Pod, what string, is func(*v1.Pod) bool) *v1.Pod {
	s.Helper()
	var last *v1.Pod
	s.eventually("pod "+pod.Name+" to be "+what, func() (any, bool) {
		p, err := s.Client.CoreV1().Pods(pod.Namespace).Get(s.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err, false
		}
		last = p
		return p.Status, is(p)
	})
	return last
}

// log gives what a container wrote.
func (s *space) log(pod *v1.Pod, container string) string {
	s.Helper()
	stream := must[io.ReadCloser](s)(s.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &v1.PodLogOptions{Container: container}).Stream(s.Context()))
	defer stream.Close()
	return string(must[[]byte](s)(io.ReadAll(stream)))
}

// inPod runs a shell command in the pod's first container and gives what it printed.
func (s *space) inPod(pod *v1.Pod, command string) string {
	s.Helper()
	return s.kubectl("exec", "--namespace="+pod.Namespace, pod.Name, "-c", pod.Spec.Containers[0].Name, "--", "sh", "-c", command)
}
