package act

import (
	"fmt"
	"os"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of a resolv.conf (KEP-2595).
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchBytes = 2048
)

// dns gives the pod's resolv.conf by its dnsPolicy.
func (a *Actor) dns(pod *v1.Pod) (*runtimeapi.DNSConfig, error) {
	host, err := readResolvConf(a.ResolvConf)
	if err != nil {
		return nil, fmt.Errorf("resolvConf: %w", err)
	}
	config := host
	policy := pod.Spec.DNSPolicy
	if policy == v1.DNSClusterFirst && pod.Spec.HostNetwork {
		policy = v1.DNSDefault
	}
	switch policy {
	case v1.DNSNone:
		config = &runtimeapi.DNSConfig{}
	case v1.DNSDefault:
	default:
		if len(a.ClusterDNS) == 0 {
			break // without cluster DNS the host's has to do
		}
		search := []string{pod.Namespace + ".svc." + a.ClusterDomain, "svc." + a.ClusterDomain, a.ClusterDomain}
		if a.ClusterDomain == "" {
			search = nil
		}
		config = &runtimeapi.DNSConfig{Servers: slices.Clone(a.ClusterDNS), Searches: append(search, host.Searches...), Options: []string{"ndots:5"}}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		config.Servers = append(config.Servers, c.Nameservers...)
		config.Searches = append(config.Searches, c.Searches...)
		config.Options = mergeOptions(config.Options, c.Options)
	}
	config.Servers = config.Servers[:min(len(config.Servers), maxNameservers)]
	config.Searches = fitSearches(unique(config.Searches))
	return config, nil
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func fitSearches(searches []string) []string {
	searches = searches[:min(len(searches), maxSearches)]
	for len(strings.Join(searches, " ")) > maxSearchBytes {
		searches = searches[:len(searches)-1]
	}
	return searches
}

// mergeOptions lets the pod's options replace those of the same name.
func mergeOptions(have []string, more []v1.PodDNSConfigOption) []string {
	name := func(o string) string { n, _, _ := strings.Cut(o, ":"); return n }
	for _, o := range more {
		have = slices.DeleteFunc(have, func(h string) bool { return name(h) == o.Name })
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		have = append(have, text)
	}
	return have
}

// readResolvConf reads name servers, search domains and options; an empty path is an empty file.
func readResolvConf(path string) (*runtimeapi.DNSConfig, error) {
	config := &runtimeapi.DNSConfig{}
	if path == "" {
		return config, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			config.Servers = append(config.Servers, fields[1])
		case "search":
			config.Searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					config.Searches = append(config.Searches, strings.TrimSuffix(s, "."))
				}
			}
		case "options":
			config.Options = append(config.Options, fields[1:]...)
		}
	}
	return config, nil
}
