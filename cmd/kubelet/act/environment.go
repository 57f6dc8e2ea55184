package act

import (
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/fields"
)

// environment resolves a container's variables: those of Services, envFrom in order, then env, whose values may refer
// to the ones before as $(NAME).
func (a *Actor) environment(pod fields.Pod, c *v1.Container, volumes map[string]Volume) ([]v1.EnvVar, error) {
	var order []string
	values := map[string]string{}
	set := func(name, value string) {
		if _, known := values[name]; !known {
			order = append(order, name)
		}
		values[name] = value
	}
	known, complete := a.Services(pod.Namespace)
	if !complete && !desired.IsStatic(pod.Pod) {
		// A container that starts without them would never find the API server.
		return nil, fmt.Errorf("services have not yet been read at least once, cannot construct envvars")
	}
	services := serviceVariables(pod, known)
	for _, from := range c.EnvFrom {
		if err := a.envFrom(pod, from, set); err != nil {
			return nil, err
		}
	}
	lookup := func(name string) (string, bool) {
		if v, ok := values[name]; ok {
			return v, true
		}
		v, ok := services[name]
		return v, ok
	}
	for _, e := range c.Env {
		value, skip, err := a.value(pod, c, e, volumes, lookup)
		if err != nil {
			return nil, err
		}
		if !skip {
			set(e.Name, value)
		}
	}
	var out []v1.EnvVar
	for _, name := range order {
		out = append(out, v1.EnvVar{Name: name, Value: values[name]})
	}
	names := make([]string, 0, len(services))
	for name := range services {
		if _, taken := values[name]; !taken {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		out = append(out, v1.EnvVar{Name: name, Value: services[name]})
	}
	return out, nil
}

// envFrom takes all keys of a ConfigMap or Secret that are names of variables.
func (a *Actor) envFrom(pod fields.Pod, from v1.EnvFromSource, set func(name, value string)) error {
	data := map[string]string{}
	var optional *bool
	var err error
	switch {
	case from.ConfigMapRef != nil:
		optional = from.ConfigMapRef.Optional
		var cm *v1.ConfigMap
		if cm, err = a.Objects.ConfigMap(pod.Namespace, from.ConfigMapRef.Name); err == nil {
			data = cm.Data
		}
	case from.SecretRef != nil:
		optional = from.SecretRef.Optional
		var secret *v1.Secret
		if secret, err = a.Objects.Secret(pod.Namespace, from.SecretRef.Name); err == nil {
			for k, v := range secret.Data {
				data[k] = string(v)
			}
		}
	}
	if err != nil {
		if apierrors.IsNotFound(err) && optional != nil && *optional {
			return nil
		}
		return err
	}
	keys := make([]string, 0, len(data))
	for k := range data {
		if len(validation.IsRelaxedEnvVarName(from.Prefix+k)) == 0 {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		set(from.Prefix+k, data[k])
	}
	return nil
}

// value resolves one variable; skip: its optional source does not exist.
func (a *Actor) value(pod fields.Pod, c *v1.Container, e v1.EnvVar, volumes map[string]Volume, lookup func(string) (string, bool)) (value string, skip bool, err error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return fields.Expand(e.Value, lookup), false, nil
	case from.FieldRef != nil:
		value, err = pod.Value(from.FieldRef.FieldPath)
		return value, false, err
	case from.ResourceFieldRef != nil:
		value, err = pod.Resource(from.ResourceFieldRef, c, a.Allocatable())
		return value, false, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		optional := ref.Optional != nil && *ref.Optional
		cm, err := a.Objects.ConfigMap(pod.Namespace, ref.Name)
		if err != nil {
			return "", optional && apierrors.IsNotFound(err), notOptional(err, optional)
		}
		value, ok := cm.Data[ref.Key]
		if !ok && !optional {
			return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, pod.Namespace, ref.Name)
		}
		return value, !ok, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		optional := ref.Optional != nil && *ref.Optional
		secret, err := a.Objects.Secret(pod.Namespace, ref.Name)
		if err != nil {
			return "", optional && apierrors.IsNotFound(err), notOptional(err, optional)
		}
		value, ok := secret.Data[ref.Key]
		if !ok && !optional {
			return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, pod.Namespace, ref.Name)
		}
		return string(value), !ok, nil
	case from.FileKeyRef != nil:
		return fileKey(volumes, from.FileKeyRef)
	}
	return "", false, fmt.Errorf("environment variable %s: valueFrom names no source", e.Name)
}

func notOptional(err error, optional bool) error {
	if optional && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// serviceVariables are those by which containers without DNS find Services: the API's always, the namespace's with
// enableServiceLinks.
func serviceVariables(pod fields.Pod, services []*v1.Service) map[string]string {
	vars := map[string]string{}
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	for _, svc := range services {
		ip := svc.Spec.ClusterIP
		api := svc.Namespace == metav1.NamespaceDefault && svc.Name == "kubernetes"
		if ip == "" || ip == v1.ClusterIPNone || len(svc.Spec.Ports) == 0 || (!api && (!links || svc.Namespace != pod.Namespace)) {
			continue
		}
		if api && pod.Namespace != metav1.NamespaceDefault && slices.ContainsFunc(services, func(s *v1.Service) bool {
			return links && s.Namespace == pod.Namespace && s.Name == "kubernetes"
		}) {
			continue // the namespace's own Service of that name comes first
		}
		prefix := strings.ToUpper(strings.ReplaceAll(svc.Name, "-", "_"))
		vars[prefix+"_SERVICE_HOST"] = ip
		vars[prefix+"_SERVICE_PORT"] = strconv.Itoa(int(svc.Spec.Ports[0].Port))
		for i, p := range svc.Spec.Ports {
			port := strconv.Itoa(int(p.Port))
			if p.Name != "" {
				vars[prefix+"_SERVICE_PORT_"+strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))] = port
			}
			protocol := strings.ToLower(string(p.Protocol))
			url := protocol + "://" + net.JoinHostPort(ip, port)
			if i == 0 {
				vars[prefix+"_PORT"] = url
			}
			portPrefix := fmt.Sprintf("%s_PORT_%s_%s", prefix, port, strings.ToUpper(protocol))
			vars[portPrefix], vars[portPrefix+"_PROTO"], vars[portPrefix+"_PORT"], vars[portPrefix+"_ADDR"] = url, protocol, port, ip
		}
	}
	return vars
}
