package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const ingressClassAnnotation = "kubernetes.io/ingress.class"

func ingressCreate(i *networkingv1.Ingress) *faults {
	f := metadata(&i.ObjectMeta, namespaced, subdomainName)
	if v, ok := i.Annotations[ingressClassAnnotation]; ok && i.Spec.IngressClassName != nil {
		if v != *i.Spec.IngressClassName {
			f.invalid(field.NewPath("metadata", "annotations"), ingressClassAnnotation, v, "must match `ingressClassName` when both are specified")
		}
	}
	ingressSpec(f, &i.Spec, true)
	return f
}

func ingressUpdate(i, old *networkingv1.Ingress) *faults {
	f := metadataUpdate(&i.ObjectMeta, &old.ObjectMeta)
	ingressSpec(f, &i.Spec, false)
	return f
}

// ingressSpec checks an ingress; strict refuses secret names and wildcard rules that older servers let in.
func ingressSpec(f *faults, s *networkingv1.IngressSpec, strict bool) {
	p := field.NewPath("spec")
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		f.invalid(p, "", s.Rules, "either `defaultBackend` or `rules` must be specified")
	}
	if s.DefaultBackend != nil {
		ingressBackend(f, s.DefaultBackend, p.Child("defaultBackend"))
	}
	for i := range s.Rules {
		ingressRule(f, &s.Rules[i], strict, p.Child("rules").Index(i))
	}
	for i, t := range s.TLS {
		at := p.Child("tls").Index(i)
		for j, host := range t.Hosts {
			ingressHost(f, host, at.Child("hosts").Index(j))
		}
		if strict && t.SecretName != "" {
			f.dnsSubdomain(at, "secretName", t.SecretName)
		}
	}
	if s.IngressClassName != nil {
		f.dnsSubdomain(p, "ingressClassName", *s.IngressClassName)
	}
}

func ingressHost(f *faults, host string, p *field.Path) {
	if strings.Contains(host, "*") {
		f.messages(p, "", host, validation.IsWildcardDNS1123Subdomain(host))
		return
	}
	f.messages(p, "", host, validation.IsDNS1123Subdomain(host))
}

func ingressRule(f *faults, r *networkingv1.IngressRule, strict bool, p *field.Path) {
	wildcard := false
	if r.Host != "" {
		at := p.Child("host")
		if family(r.Host) != corev1.IPFamilyUnknown {
			f.invalid(at, "", r.Host, "must be a DNS name, not an IP address")
		}
		wildcard = strings.Contains(r.Host, "*")
		ingressHost(f, r.Host, at)
	}
	if r.HTTP == nil || wildcard && !strict {
		return
	}
	p = p.Child("http").Child("paths")
	if len(r.HTTP.Paths) == 0 {
		f.required(p, "", "")
	}
	for i := range r.HTTP.Paths {
		ingressPath(f, &r.HTTP.Paths[i], p.Index(i))
	}
}

func ingressPath(f *faults, path *networkingv1.HTTPIngressPath, p *field.Path) {
	if path.PathType == nil {
		f.required(p, "pathType", "pathType must be specified")
		return
	}
	switch *path.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		if !strings.HasPrefix(path.Path, "/") {
			f.invalid(p, "path", path.Path, "must be an absolute path")
		}
		for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F"} {
			if strings.Contains(path.Path, bad) {
				f.invalid(p, "path", path.Path, "must not contain '"+bad+"'")
			}
		}
		for _, bad := range []string{"/..", "/."} {
			if strings.HasSuffix(path.Path, bad) {
				f.invalid(p, "path", path.Path, "cannot end with '"+bad+"'")
			}
		}
	case networkingv1.PathTypeImplementationSpecific:
		if path.Path != "" && !strings.HasPrefix(path.Path, "/") {
			f.invalid(p, "path", path.Path, "must be an absolute path")
		}
	default:
		oneOf(f, p, "pathType", *path.PathType, networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix)
	}
	ingressBackend(f, &path.Backend, p.Child("backend"))
}

func ingressBackend(f *faults, b *networkingv1.IngressBackend, p *field.Path) {
	switch {
	case b.Service != nil && b.Resource != nil:
		f.invalid(p, "", "", "cannot set both resource and service backends")
	case b.Resource != nil:
		typedReference(f, groupOf(b.Resource.APIGroup), b.Resource.Kind, b.Resource.Name, p.Child("resource"))
	case b.Service != nil:
		if f.present(p.Child("service"), "name", b.Service.Name) {
			f.messages(p.Child("service"), "name", b.Service.Name, labelName(b.Service.Name, false))
		}
		at := p.Child("service").Child("port")
		switch port := b.Service.Port; {
		case port.Name != "" && port.Number != 0:
			f.invalid(p, "", "", "cannot set both port name & port number")
		case port.Name != "":
			f.messages(at, "name", port.Name, validation.IsValidPortName(port.Name))
		case port.Number != 0:
			portNumber(f, at, "number", port.Number)
		default:
			f.required(p, "", "port name or number is required")
		}
	default:
		f.invalid(p, "", "", "resource or service backend is required")
	}
}

func typedReference(f *faults, group, kind, name string, p *field.Path) {
	if group != "" {
		f.dnsSubdomain(p, "apiGroup", group)
	}
	if kind == "" {
		f.required(p, "kind", "kind is required")
	} else {
		f.messages(p, "kind", kind, segmentName(kind, false))
	}
	if name == "" {
		f.required(p, "name", "name is required")
	} else {
		f.messages(p, "name", name, segmentName(name, false))
	}
}

func ingressStatus(i, old *networkingv1.Ingress) *faults {
	f := metadataUpdate(&i.ObjectMeta, &old.ObjectMeta)
	var before []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		before = append(before, in.IP)
	}
	for n, in := range i.Status.LoadBalancer.Ingress {
		at := field.NewPath("status", "loadBalancer", "ingress").Index(n)
		if in.IP != "" {
			f.add(validation.IsValidIPForLegacyField(at.Child("ip"), in.IP, true, before)...)
		}
		if in.Hostname != "" {
			f.messages(at, "hostname", in.Hostname, validation.IsDNS1123Subdomain(in.Hostname))
			if family(in.Hostname) != corev1.IPFamilyUnknown {
				f.invalid(at, "hostname", in.Hostname, "must be a DNS name, not an IP address")
			}
		}
		for j, port := range in.Ports {
			portStatus(f, (*corev1.PortStatus)(&port), at.Child("ports").Index(j))
		}
	}
	return f
}
