package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// tolerated is what the old object of an update may still say, although a new object must not.
type tolerated struct {
	// ips are the addresses that stand in the old object.
	ips []string
	// selectors: label selectors with values that no label can have.
	selectors bool
	// update: there is an old object.
	update bool
}

func podCreate(pod *corev1.Pod) *faults {
	f := metadata(&pod.ObjectMeta, namespaced, subdomainName)
	spec := field.NewPath("spec")
	podAnnotations(f, pod.Annotations, &pod.Spec, field.NewPath("metadata", "annotations"))
	podSpec(f, &pod.Spec, &tolerated{}, spec)
	if len(pod.Spec.EphemeralContainers) > 0 {
		f.forbidden(spec, "ephemeralContainers", "cannot be set on create")
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		f.forbidden(spec, "nodeName", "cannot be set until all schedulingGates have been cleared")
	}
	return f
}

func podTemplateCreate(t *corev1.PodTemplate) *faults {
	f := metadata(&t.ObjectMeta, namespaced, subdomainName)
	podTemplateSpec(f, &t.Template, &tolerated{}, field.NewPath("template"))
	return f
}

func podTemplateUpdate(t, old *corev1.PodTemplate) *faults {
	f := metadataUpdate(&t.ObjectMeta, &old.ObjectMeta)
	podTemplateSpec(f, &t.Template, toleratedOf(&old.Template.Spec), field.NewPath("template"))
	return f
}

// ValidatePodTemplateSpec checks the template of a workload.
func ValidatePodTemplateSpec(t *corev1.PodTemplateSpec, p *field.Path) field.ErrorList {
	f := &faults{}
	podTemplateSpec(f, t, &tolerated{}, p)
	return f.list
}

// ValidatePodSpec checks what a pod is to run.
func ValidatePodSpec(s *corev1.PodSpec, p *field.Path) field.ErrorList {
	f := &faults{}
	podSpec(f, s, &tolerated{}, p)
	return f.list
}

func podTemplateSpec(f *faults, t *corev1.PodTemplateSpec, tol *tolerated, p *field.Path) {
	meta := p.Child("metadata")
	templateMetadata(f, &t.ObjectMeta, meta)
	podAnnotations(f, t.Annotations, &t.Spec, meta.Child("annotations"))
	podSpec(f, &t.Spec, tol, p.Child("spec"))
	if len(t.Spec.EphemeralContainers) > 0 {
		f.forbidden(p.Child("spec"), "ephemeralContainers", "ephemeral containers not allowed in pod template")
	}
}

// toleratedOf looks for what an old spec may keep.
func toleratedOf(old *corev1.PodSpec) *tolerated {
	t := &tolerated{update: true}
	for _, a := range old.HostAliases {
		t.ips = append(t.ips, a.IP)
	}
	if old.DNSConfig != nil {
		t.ips = append(t.ips, old.DNSConfig.Nameservers...)
	}
	for _, containers := range [][]corev1.Container{old.InitContainers, old.Containers} {
		for i := range containers {
			for _, port := range containers[i].Ports {
				if port.HostIP != "" {
					t.ips = append(t.ips, port.HostIP)
				}
			}
			for _, probe := range []*corev1.Probe{containers[i].LivenessProbe, containers[i].ReadinessProbe, containers[i].StartupProbe} {
				if probe != nil && probe.HTTPGet != nil && probe.HTTPGet.Host != "" {
					t.ips = append(t.ips, probe.HTTPGet.Host)
				}
			}
		}
	}
	t.selectors = hasLooseSelector(old)
	return t
}
