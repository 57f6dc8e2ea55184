package defaulting

import corev1 "k8s.io/api/core/v1"

// Pod fills a pod.
func Pod(p *corev1.Pod) {
	PodSpec(&p.Spec)
	spec := &p.Spec
	// Only a pod, not a template, is given requests, so that a template shows what its author wrote.
	for i := range spec.Containers {
		requestsFromLimits(&spec.Containers[i].Resources)
	}
	for i := range spec.InitContainers {
		requestsFromLimits(&spec.InitContainers[i].Resources)
	}
	podLevelResources(spec)
	pointer(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	if spec.HostNetwork {
		hostPorts(spec.Containers)
		hostPorts(spec.InitContainers)
	}
	if s := spec.TerminationGracePeriodSeconds; s != nil && *s < 0 {
		one := int64(1)
		spec.TerminationGracePeriodSeconds = &one
	}
	podStatusQuantities(&p.Status)
}

// PodTemplate fills a pod template.
func PodTemplate(t *corev1.PodTemplate) { PodTemplateSpec(&t.Template) }

// PodTemplateSpec fills the template of a workload.
func PodTemplateSpec(t *corev1.PodTemplateSpec) { PodSpec(&t.Spec) }

// PodSpec fills what pods and templates have in common.
func PodSpec(s *corev1.PodSpec) {
	value(&s.DNSPolicy, corev1.DNSClusterFirst)
	value(&s.RestartPolicy, corev1.RestartPolicyAlways)
	value(&s.SchedulerName, corev1.DefaultSchedulerName)
	pointer(&s.SecurityContext, corev1.PodSecurityContext{})
	pointer(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))

	value(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName

	for i := range s.Volumes {
		volume(&s.Volumes[i])
	}
	for i := range s.InitContainers {
		container(&s.InitContainers[i])
	}
	for i := range s.Containers {
		container(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		container((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
	quantities(s.Overhead)
	if s.Resources != nil {
		quantities(s.Resources.Limits)
		quantities(s.Resources.Requests)
	}
}

func requestsFromLimits(r *corev1.ResourceRequirements) {
	r.Requests = complete(r.Requests, r.Limits)
}

// podStatusQuantities rounds the amounts that a kubelet reported.
func podStatusQuantities(s *corev1.PodStatus) {
	quantities(s.AllocatedResources)
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			quantities(list[i].AllocatedResources)
			if r := list[i].Resources; r != nil {
				quantities(r.Limits)
				quantities(r.Requests)
			}
		}
	}
}

// hostPorts gives each port of a pod in the host's network its own number there.
func hostPorts(containers []corev1.Container) {
	for i := range containers {
		for j := range containers[i].Ports {
			value(&containers[i].Ports[j].HostPort, containers[i].Ports[j].ContainerPort)
		}
	}
}
