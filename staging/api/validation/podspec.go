package validation

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podSpec(f *faults, s *corev1.PodSpec, tol *tolerated, p *field.Path) {
	c := &podContext{spec: s, tol: tol}
	volumes(f, s.Volumes, c, p.Child("volumes"))
	resourceClaimRefs(f, s.ResourceClaims, c, p)
	containers(f, c, p)

	requireOneOf(f, p, "restartPolicy", s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure)
	requireOneOf(f, p, "dnsPolicy", s.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
	if len(s.NodeSelector) > 0 {
		f.add(metav1validation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
	}
	podSecurity(f, s, p)
	affinity(f, s.Affinity, tol, p)
	podDNS(f, s, tol, p)
	podNames(f, s, p)
	for i, gate := range s.ReadinessGates {
		f.messages(p.Child("readinessGates").Index(i), "conditionType", string(gate.ConditionType), validation.IsQualifiedName(string(gate.ConditionType)))
	}
	if s.ActiveDeadlineSeconds != nil && (*s.ActiveDeadlineSeconds < 1 || *s.ActiveDeadlineSeconds > math.MaxInt32) {
		f.invalid(p, "activeDeadlineSeconds", *s.ActiveDeadlineSeconds, validation.InclusiveRangeError(1, math.MaxInt32))
	}
	tolerations(f, s.Tolerations, p.Child("tolerations"))
	hostAliases(f, s.HostAliases, tol, p)
	oneOfPtr(f, p, "preemptionPolicy", s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	if len(s.Overhead) > 0 {
		resourceLists(f, nil, s.Overhead, p, "", "overhead")
	}
	topologySpread(f, s.TopologySpreadConstraints, tol, p)
	var gates seen[string]
	for i, gate := range s.SchedulingGates {
		at := p.Child("schedulingGates").Index(i)
		f.messages(at, "", gate.Name, validation.IsQualifiedName(gate.Name))
		if gates.again(gate.Name) {
			f.duplicate(at, "", gate.Name)
		}
	}
	if s.Resources != nil {
		podLevelResources(f, s, p)
	}
	if s.SchedulingGroup != nil {
		if name := s.SchedulingGroup.PodGroupName; name == nil {
			f.required(p.Child("schedulingGroup"), "podGroupName", "must specify one of: `podGroupName`")
		} else {
			f.dnsSubdomain(p.Child("schedulingGroup"), "podGroupName", *name)
		}
	}
	podOS(f, s, p)
}

// podNames checks the names a pod has or refers to.
func podNames(f *faults, s *corev1.PodSpec, p *field.Path) {
	if s.ServiceAccountName != "" {
		f.dnsSubdomain(p, "serviceAccountName", s.ServiceAccountName)
	}
	if s.NodeName != "" {
		f.dnsSubdomain(p, "nodeName", s.NodeName)
	}
	if s.Hostname != "" {
		f.dnsLabel(p, "hostname", s.Hostname)
	}
	if s.Subdomain != "" {
		f.dnsLabel(p, "subdomain", s.Subdomain)
	}
	if s.HostnameOverride != nil {
		hostnameOverride(f, s, p)
	}
	if s.PriorityClassName != "" {
		f.dnsSubdomain(p, "priorityClassName", s.PriorityClassName)
	}
	if s.RuntimeClassName != nil {
		f.dnsSubdomain(p, "runtimeClassName", *s.RuntimeClassName)
	}
}

// maxHostname is what the kernel holds.
const maxHostname = 64

// hostnameOverride stands alone (KEP-4762).
func hostnameOverride(f *faults, s *corev1.PodSpec, p *field.Path) {
	name := *s.HostnameOverride
	f.dnsSubdomain(p, "hostnameOverride", name)
	if len(name) > maxHostname {
		f.tooLong(p, "hostnameOverride", maxHostname)
	}
	if s.HostNetwork {
		f.forbidden(p, "hostnameOverride", "may not be specified when hostNetwork is true")
	}
	if s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN {
		f.forbidden(p, "hostnameOverride", "may not be specified when setHostnameAsFQDN is true")
	}
}

func hostAliases(f *faults, list []corev1.HostAlias, tol *tolerated, p *field.Path) {
	for i, a := range list {
		at := p.Child("hostAliases").Index(i)
		f.add(validation.IsValidIPForLegacyField(at.Child("ip"), a.IP, true, tol.ips)...)
		for j, name := range a.Hostnames {
			f.messages(at.Child("hostnames").Index(j), "", name, validation.IsDNS1123Subdomain(name))
		}
	}
}

const (
	maxNameservers   = 3
	maxSearchPaths   = 32
	maxSearchLetters = 2048
)

func podDNS(f *faults, s *corev1.PodSpec, tol *tolerated, p *field.Path) {
	p = p.Child("dnsConfig")
	c := s.DNSConfig
	if s.DNSPolicy == corev1.DNSNone {
		if c == nil {
			f.required(p, "", "must provide `dnsConfig` when `dnsPolicy` is None")
			return
		}
		if len(c.Nameservers) == 0 {
			f.required(p, "nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
			return
		}
	}
	if c == nil {
		return
	}
	if len(c.Nameservers) > maxNameservers {
		f.invalid(p, "nameservers", c.Nameservers, "must not have more than 3 nameservers")
	}
	for i, ip := range c.Nameservers {
		f.add(validation.IsValidIPForLegacyField(p.Child("nameservers").Index(i), ip, true, tol.ips)...)
	}
	if len(c.Searches) > maxSearchPaths {
		f.invalid(p, "searches", c.Searches, "must not have more than 32 search paths")
	}
	if len(strings.Join(c.Searches, " ")) > maxSearchLetters {
		f.invalid(p, "searches", c.Searches, "must not have more than 2048 characters (including spaces) in the search list")
	}
	for i, search := range c.Searches {
		if search == "." { // the root alone is meant for "no search" (KEP-4427)
			continue
		}
		f.messages(p.Child("searches").Index(i), "", search, validation.IsDNS1123SubdomainWithUnderscore(strings.TrimSuffix(search, ".")))
	}
	for i, o := range c.Options {
		if o.Name == "" {
			f.required(p.Child("options").Index(i), "", "must not be empty")
		}
	}
}
