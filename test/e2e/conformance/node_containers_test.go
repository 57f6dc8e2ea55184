package conformance

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ends runs the pod to its end and gives how its container ended.
func (s *space) ends(pod *v1.Pod) v1.ContainerStateTerminated {
	s.Helper()
	created := must[*v1.Pod](s)(s.Client.CoreV1().Pods(pod.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}))
	ended := s.await(created, "ended", func(p *v1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Terminated != nil
	})
	return *ended.Status.ContainerStatuses[0].State.Terminated
}

func TestTerminationMessages(t *testing.T) {
	user := int64(1000)
	for _, c := range []struct {
		name, command, path, want string
		policy                    v1.TerminationMessagePolicy
		user                      *int64
	}{
		{"should report termination message as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set", "echo DONE", "/dev/termination-log", "", v1.TerminationMessageFallbackToLogsOnError, nil},
		{"should report termination message from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set", "echo -n OK > /dev/termination-log; echo DONE", "/dev/termination-log", "OK", v1.TerminationMessageFallbackToLogsOnError, nil},
		{"should report termination message if TerminationMessagePath is set as non-root user and at a non-default path", "echo -n DONE > /dev/termination-custom-log", "/dev/termination-custom-log", "DONE", v1.TerminationMessageReadFile, &user},
	} {
		words := strings.Fields(c.name)
		t.Run(strings.Join(words[4:8], " "), func(t *testing.T) {
			s := behaviour(t, "[sig-node] Container Runtime blackbox test on terminated container "+c.name+" [NodeConformance]")
			end := s.ends(s.pod("p", c.command, func(p *v1.Pod) {
				p.Spec.Containers[0].TerminationMessagePath, p.Spec.Containers[0].TerminationMessagePolicy = c.path, c.policy
				p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: c.user}
			}))
			if end.Message != c.want || end.ExitCode != 0 {
				t.Errorf("the container ended with %d and the message %q, want %q", end.ExitCode, end.Message, c.want)
			}
		})
	}
}

func TestImagesArgumentsOverridden(t *testing.T) {
	s := behaviour(t, "[sig-node] Containers should be able to override the image's default arguments (container cmd) [NodeConformance]")
	// The image's entrypoint is busybox, which takes the arguments.
	said := s.says(s.pod("p", "", func(p *v1.Pod) {
		p.Spec.Containers[0].Command, p.Spec.Containers[0].Args = nil, []string{"echo", "override", "arguments"}
	}))
	if said != "override arguments\n" {
		t.Errorf("the container says %q", said)
	}
}

func TestImagesDefaults(t *testing.T) {
	s := behaviour(t, "[sig-node] Containers should use the image defaults if command and args are blank [NodeConformance]")
	pod := s.start(s.pod("p", "", func(p *v1.Pod) { p.Spec.Containers[0].Command, p.Spec.Containers[0].Stdin = nil, true }))
	if got := s.inPod(pod, "busybox tr '\\0' ' ' < /proc/1/cmdline"); got != "busybox sh" {
		t.Errorf("the container runs %q, the image's entrypoint and command are busybox sh", got)
	}
}

func TestOutputIsTheLog(t *testing.T) {
	s := behaviour(t, "[sig-node] Kubelet when scheduling a busybox command in a pod should print the output to logs [NodeConformance]")
	if said := s.says(s.pod("p", "echo Hello World; echo and errors >&2")); !strings.Contains(said, "Hello World\n") || !strings.Contains(said, "and errors\n") {
		t.Errorf("the log is %q", said)
	}
}

func TestReasonOfAFailure(t *testing.T) {
	s := behaviour(t, "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance]")
	if end := s.ends(s.pod("p", "false")); end.Reason != "Error" || end.ExitCode != 1 {
		t.Errorf("the container ended with %d for the reason %q", end.ExitCode, end.Reason)
	}
}

func TestFailedPodIsDeleted(t *testing.T) {
	s := behaviour(t, "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance]")
	s.ends(s.pod("p", "false"))
	if err := s.Client.CoreV1().Pods(s.Namespace).Delete(s.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.goes(s.resource(coreV1("pods"), false), "p")
}

func TestHostAliases(t *testing.T) {
	s := behaviour(t, "[sig-node] Kubelet when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts [NodeConformance]")
	said := s.says(s.pod("p", "cat /etc/hosts", func(p *v1.Pod) {
		p.Spec.HostAliases = []v1.HostAlias{{IP: "123.45.67.89", Hostnames: []string{"foo", "bar"}}}
	}))
	if !strings.Contains(said, "123.45.67.89\tfoo\tbar\n") {
		t.Errorf("/etc/hosts is\n%s", said)
	}
}

func TestSecurityOfContainers(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	yes, no := true, false
	for _, c := range []struct {
		short, name, command, want string
		pod                        v1.PodSecurityContext
		container                  v1.SecurityContext
	}{
		{"user", "Security Context When creating a container with runAsUser should run the container with uid 65534 [LinuxOnly] [NodeConformance]",
			"id -u", "65534\n", v1.PodSecurityContext{}, v1.SecurityContext{RunAsUser: number(65534)}},
		{"user and group", "Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup [LinuxOnly]",
			"echo $(id -u) $(id -g)", "1001 2002\n", v1.PodSecurityContext{RunAsUser: number(1001), RunAsGroup: number(2002)}, v1.SecurityContext{}},
		{"writable root", "Security Context When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false [NodeConformance]",
			"echo text > /file && cat /file", "text\n", v1.PodSecurityContext{}, v1.SecurityContext{ReadOnlyRootFilesystem: &no}},
		{"read-only root", "Kubelet when scheduling a read only busybox container should not write to root filesystem [LinuxOnly] [NodeConformance]",
			"(echo text > /file) 2>/dev/null; cat /file 2>/dev/null || echo none", "none\n", v1.PodSecurityContext{}, v1.SecurityContext{ReadOnlyRootFilesystem: &yes}},
		{"no escalation", "Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false [LinuxOnly] [NodeConformance]",
			"id -u; grep NoNewPrivs /proc/self/status", "1000\nNoNewPrivs:\t1\n", v1.PodSecurityContext{}, v1.SecurityContext{RunAsUser: number(1000), AllowPrivilegeEscalation: &no}},
	} {
		t.Run(c.short, func(t *testing.T) {
			s := behaviour(t, "[sig-node] "+c.name)
			said := s.says(s.pod("p", c.command, func(p *v1.Pod) { p.Spec.SecurityContext, p.Spec.Containers[0].SecurityContext = &c.pod, &c.container }))
			if said != c.want {
				t.Errorf("the container says %q, want %q", said, c.want)
			}
		})
	}
}

func TestSysctls(t *testing.T) {
	s := behaviour(t, "[sig-node] Sysctls [LinuxOnly] should support sysctls [Environment:NotInUserNS] [NodeConformance]")
	said := s.says(s.pod("p", "cat /proc/sys/kernel/shm_rmid_forced", func(p *v1.Pod) {
		p.Spec.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "kernel.shm_rmid_forced", Value: "1"}}}
	}))
	if said != "1\n" {
		t.Errorf("kernel.shm_rmid_forced is %q", said)
	}
}

func TestInvalidSysctls(t *testing.T) {
	s := behaviour(t, "[sig-node] Sysctls [LinuxOnly] should reject invalid sysctls [NodeConformance]")
	_, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod("p", "true", func(p *v1.Pod) {
		p.Spec.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "foo-", Value: "bar"}, {Name: "kernel.shmmax", Value: "100000000"}, {Name: "bar..", Value: "42"}}}
	}), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "foo-") || !strings.Contains(err.Error(), "bar..") || strings.Contains(err.Error(), "kernel.shmmax") {
		t.Errorf("got %v, want the two bad names told", err)
	}
}
