package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podContext is what the parts of a pod need to know of the whole.
type podContext struct {
	spec    *corev1.PodSpec
	tol     *tolerated
	volumes map[string]*corev1.Volume
	claims  seen[string]
}

func (c *podContext) hostUsers() bool { return c.spec.HostUsers == nil || *c.spec.HostUsers }

func restartable(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func containers(f *faults, c *podContext, p *field.Path) {
	s := c.spec
	var names seen[string]
	list := p.Child("containers")
	if len(s.Containers) == 0 {
		f.required(list, "", "")
	}
	for i := range s.Containers {
		regularContainer(f, &s.Containers[i], c, &names, list.Index(i))
	}
	if len(s.InitContainers) > 0 {
		list = p.Child("initContainers")
		for i := range s.InitContainers {
			initContainer(f, &s.InitContainers[i], c, &names, list.Index(i))
		}
	}
	if len(s.EphemeralContainers) > 0 {
		ephemeralContainers(f, c, &names, p.Child("ephemeralContainers"))
	}
	hostPortConflicts(f, s.Containers, p.Child("containers"))
	hostPortConflicts(f, s.InitContainers, p.Child("initContainers"))
}

func regularContainer(f *faults, ctr *corev1.Container, c *podContext, names *seen[string], p *field.Path) {
	anyContainer(f, ctr, c, p)
	uniqueName(f, names, ctr.Name, p)
	restartPolicyOfContainer(f, ctr, p)
	probesOf(f, ctr, c, p)
	lifecycle(f, ctr.Lifecycle, c, p)
	resizePolicy(f, ctr, c, p)
}

func initContainer(f *faults, ctr *corev1.Container, c *podContext, names *seen[string], p *field.Path) {
	anyContainer(f, ctr, c, p)
	uniqueName(f, names, ctr.Name, p)
	restartPolicyOfContainer(f, ctr, p)
	if restartable(ctr) {
		probesOf(f, ctr, c, p)
		lifecycle(f, ctr.Lifecycle, c, p)
		resizePolicy(f, ctr, c, p)
		return
	}
	const text = "may not be set for init containers without restartPolicy=Always"
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", ctr.Lifecycle != nil},
		{"livenessProbe", ctr.LivenessProbe != nil},
		{"readinessProbe", ctr.ReadinessProbe != nil},
		{"startupProbe", ctr.StartupProbe != nil},
	} {
		if part.set {
			f.forbidden(p, part.name, text)
		}
	}
	if len(ctr.ResizePolicy) > 0 {
		f.invalid(p, "resizePolicy", ctr.ResizePolicy, "must not be set for init containers")
	}
}

func uniqueName(f *faults, names *seen[string], name string, p *field.Path) {
	if name != "" && names.again(name) {
		f.duplicate(p, "name", name)
	}
}

// anyContainer checks what containers of all kinds have in common.
func anyContainer(f *faults, ctr *corev1.Container, c *podContext, p *field.Path) {
	if f.present(p, "name", ctr.Name) {
		f.dnsLabel(p, "name", ctr.Name)
	}
	if f.present(p, "image", ctr.Image) && strings.TrimSpace(ctr.Image) != ctr.Image {
		f.invalid(p, "image", ctr.Image, "must not have leading or trailing whitespace")
	}
	requireOneOf(f, p, "terminationMessagePolicy", ctr.TerminationMessagePolicy, corev1.TerminationMessageFallbackToLogsOnError, corev1.TerminationMessageReadFile)
	requireOneOf(f, p, "imagePullPolicy", ctr.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	containerPorts(f, ctr, c, p)
	environment(f, ctr, c, p)
	mountsOf(f, ctr, c, p)
	containerResources(f, &ctr.Resources, c, p.Child("resources"))
	if ctr.SecurityContext != nil {
		containerSecurity(f, ctr.SecurityContext, c, p.Child("securityContext"))
	}
}

func ephemeralContainers(f *faults, c *podContext, names *seen[string], p *field.Path) {
	s := c.spec
	for i := range s.EphemeralContainers {
		e := &s.EphemeralContainers[i]
		ctr := (*corev1.Container)(&e.EphemeralContainerCommon)
		at := p.Index(i)
		anyContainer(f, ctr, c, at)
		uniqueName(f, names, e.Name, at)
		if e.TargetContainerName != "" && !targetExists(s, e.TargetContainerName) {
			f.notFound(at, "targetContainerName", e.TargetContainerName)
		}
		for _, part := range []struct {
			name string
			set  bool
		}{
			{"ports", len(e.Ports) > 0},
			{"livenessProbe", e.LivenessProbe != nil},
			{"readinessProbe", e.ReadinessProbe != nil},
			{"startupProbe", e.StartupProbe != nil},
			{"lifecycle", e.Lifecycle != nil},
			{"resources", len(e.Resources.Limits)+len(e.Resources.Requests)+len(e.Resources.Claims) > 0},
			{"resizePolicy", len(e.ResizePolicy) > 0},
			{"restartPolicy", e.RestartPolicy != nil},
			{"restartPolicyRules", len(e.RestartPolicyRules) > 0},
		} {
			if part.set {
				f.forbidden(at, part.name, "cannot be set for an Ephemeral Container")
			}
		}
		for j, m := range e.VolumeMounts {
			if m.SubPath != "" {
				f.forbidden(at.Child("volumeMounts").Index(j), "subPath", "cannot be set for an Ephemeral Container")
			}
			if m.SubPathExpr != "" {
				f.forbidden(at.Child("volumeMounts").Index(j), "subPathExpr", "cannot be set for an Ephemeral Container")
			}
		}
	}
}

func targetExists(s *corev1.PodSpec, name string) bool {
	for i := range s.Containers {
		if s.Containers[i].Name == name {
			return true
		}
	}
	for i := range s.InitContainers {
		if s.InitContainers[i].Name == name {
			return true
		}
	}
	return false
}

const (
	maxRestartRules   = 20
	maxRestartedCodes = 255
)

// restartPolicyOfContainer checks a container's own restart policy and its rules (KEP-753, KEP-5307).
func restartPolicyOfContainer(f *faults, ctr *corev1.Container, p *field.Path) {
	if ctr.RestartPolicy == nil {
		if len(ctr.RestartPolicyRules) > 0 {
			f.required(p, "restartPolicy", "must specify restartPolicy when restart rules are used")
		}
		return
	}
	oneOf(f, p, "restartPolicy", *ctr.RestartPolicy, corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	p = p.Child("restartPolicyRules")
	f.tooMany(p, "", len(ctr.RestartPolicyRules), maxRestartRules)
	for i, rule := range ctr.RestartPolicyRules {
		at := p.Index(i)
		requireOneOf(f, at, "action", rule.Action, corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
		if rule.ExitCodes == nil {
			f.required(at, "exitCodes", "must be specified")
			continue
		}
		at = at.Child("exitCodes")
		requireOneOf(f, at, "operator", rule.ExitCodes.Operator, corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)
		if len(rule.ExitCodes.Values) == 0 {
			f.required(at, "values", "must specify at least one value")
		}
		f.tooMany(at, "values", len(rule.ExitCodes.Values), maxRestartedCodes)
		var codes seen[int32]
		for j, v := range rule.ExitCodes.Values {
			if codes.again(v) {
				f.duplicate(at.Child("values").Index(j), "", v)
			}
		}
	}
}

// resizePolicy says per resource whether a resize restarts the container (KEP-1287).
func resizePolicy(f *faults, ctr *corev1.Container, c *podContext, p *field.Path) {
	if len(ctr.ResizePolicy) == 0 {
		return
	}
	p = p.Child("resizePolicy")
	var names seen[corev1.ResourceName]
	for _, r := range ctr.ResizePolicy {
		if names.again(r.ResourceName) {
			f.duplicate(p, "", r.ResourceName)
		}
		requireOneOf(f, p, "", r.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)
		requireOneOf(f, p, "", r.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)
		if c.spec.RestartPolicy == corev1.RestartPolicyNever && !restartable(ctr) && r.RestartPolicy != corev1.NotRequired {
			f.invalid(p, "", r.RestartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'")
		}
	}
}
