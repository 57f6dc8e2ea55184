package validation

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podStatus(pod, old *corev1.Pod) *faults {
	f := metadataUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	status := field.NewPath("status")
	podAnnotations(f, pod.Annotations, &pod.Spec, field.NewPath("metadata", "annotations"))
	podConditions(f, pod.Status.Conditions, status.Child("conditions"))
	if n := pod.Status.NominatedNodeName; n != "" && n != old.Status.NominatedNodeName {
		f.dnsSubdomain(status, "nominatedNodeName", n)
	}
	if pod.Spec.NodeName != old.Spec.NodeName {
		f.forbidden(status, "nodeName", "may not be changed directly")
	}
	if old.Status.QOSClass != "" && pod.Status.QOSClass != old.Status.QOSClass {
		f.invalid(status, "qosClass", pod.Status.QOSClass, "Pod QoS is immutable")
	}
	f.notNegative(status, "observedGeneration", pod.Status.ObservedGeneration)
	transitions(f, pod, old, status)
	podAddresses(f, pod, old, status)
	claimStatuses(f, pod, status)
	return f
}

func podConditions(f *faults, list []corev1.PodCondition, p *field.Path) {
	for i, c := range list {
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
			continue
		}
		f.messages(p.Index(i), "type", string(c.Type), validation.IsQualifiedName(string(c.Type)))
	}
}

// transitions refuses that a container that has ended for good runs again.
func transitions(f *faults, pod, old *corev1.Pod, p *field.Path) {
	check := func(name string, now, before []corev1.ContainerStatus, containers []corev1.Container, initial bool) {
		for i := range before {
			o := &before[i]
			if o.State.Terminated == nil || mayRestart(pod, containers, o, initial) {
				continue
			}
			for j := range now {
				if now[j].Name == o.Name && now[j].State.Terminated == nil {
					f.forbidden(p.Child(name).Index(j), "state", "may not be transitioned to non-terminated state")
				}
			}
		}
	}
	check("containerStatuses", pod.Status.ContainerStatuses, old.Status.ContainerStatuses, pod.Spec.Containers, false)
	check("initContainerStatuses", pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, pod.Spec.InitContainers, true)
}

func mayRestart(pod *corev1.Pod, containers []corev1.Container, s *corev1.ContainerStatus, initial bool) bool {
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == s.Name })
	if i < 0 || containers[i].RestartPolicy != nil {
		return true
	}
	switch pod.Spec.RestartPolicy {
	case corev1.RestartPolicyAlways:
		return true
	case corev1.RestartPolicyOnFailure:
		return s.State.Terminated.ExitCode != 0
	}
	// An init container of a pod that never restarts begins anew with a new sandbox.
	return initial && s.State.Terminated.ExitCode == 0
}

func podAddresses(f *faults, pod, old *corev1.Pod, p *field.Path) {
	var before []string
	for _, ip := range old.Status.PodIPs {
		before = append(before, ip.IP)
	}
	var ips []string
	for i, ip := range pod.Status.PodIPs {
		f.add(validation.IsValidIPForLegacyField(p.Child("podIPs").Index(i), ip.IP, true, before)...)
		ips = append(ips, ip.IP)
	}
	onePerFamily(f, ips, p.Child("podIPs"), pod.Status.PodIPs)
	before, ips = nil, nil
	for _, ip := range old.Status.HostIPs {
		before = append(before, ip.IP)
	}
	for i, ip := range pod.Status.HostIPs {
		f.add(validation.IsValidIPForLegacyField(p.Child("hostIPs").Index(i), ip.IP, true, before)...)
		ips = append(ips, ip.IP)
	}
	if len(ips) > 0 && ips[0] != pod.Status.HostIP {
		f.invalid(p.Child("hostIPs").Index(0), "ip", ips[0], "must be equal to `hostIP`")
	}
	onePerFamily(f, ips, p.Child("hostIPs"), pod.Status.HostIPs)
}

func onePerFamily(f *faults, ips []string, p *field.Path, value any) {
	var v4, v6 int
	for _, s := range ips {
		if a, err := netip.ParseAddr(s); err == nil && a.Unmap().Is4() {
			v4++
		} else if err == nil {
			v6++
		}
	}
	if v4 > 1 || v6 > 1 {
		f.invalid(p, "", value, "may specify no more than one IP for each IP family")
	}
	var once seen[string]
	for i, s := range ips {
		if once.again(s) {
			f.duplicate(p.Index(i), "", s)
		}
	}
}

func claimStatuses(f *faults, pod *corev1.Pod, p *field.Path) {
	var names seen[string]
	for i, s := range pod.Status.ResourceClaimStatuses {
		at := p.Child("resourceClaimStatuses").Index(i)
		if names.again(s.Name) {
			f.duplicate(at, "name", s.Name)
		}
		known := slices.ContainsFunc(pod.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == s.Name })
		if !known {
			f.invalid(at, "name", s.Name, "must match the name of an entry in `spec.resourceClaims`")
		}
		if s.ResourceClaimName != nil {
			f.dnsSubdomain(at, "name", *s.ResourceClaimName)
		}
	}
}
