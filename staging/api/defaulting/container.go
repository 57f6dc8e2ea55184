package defaulting

import corev1 "k8s.io/api/core/v1"

func container(c *corev1.Container) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = pullPolicy(c.Image)
	}
	value(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	value(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		value(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			fieldRef(from.FieldRef)
			if from.FileKeyRef != nil {
				pointer(&from.FileKeyRef.Optional, false)
			}
		}
	}
	quantities(c.Resources.Limits)
	quantities(c.Resources.Requests)
	probe(c.LivenessProbe)
	probe(c.ReadinessProbe)
	probe(c.StartupProbe)
	if c.Lifecycle != nil {
		if h := c.Lifecycle.PostStart; h != nil {
			httpGet(h.HTTPGet)
		}
		if h := c.Lifecycle.PreStop; h != nil {
			httpGet(h.HTTPGet)
		}
	}
}

func fieldRef(r *corev1.ObjectFieldSelector) {
	if r != nil {
		value(&r.APIVersion, "v1")
	}
}

func probe(p *corev1.Probe) {
	if p == nil {
		return
	}
	value(&p.TimeoutSeconds, 1)
	value(&p.PeriodSeconds, 10)
	value(&p.SuccessThreshold, 1)
	value(&p.FailureThreshold, 3)
	httpGet(p.HTTPGet)
	if p.GRPC != nil {
		pointer(&p.GRPC.Service, "")
	}
}

func httpGet(a *corev1.HTTPGetAction) {
	if a == nil {
		return
	}
	value(&a.Path, "/")
	value(&a.Scheme, corev1.URISchemeHTTP)
}
