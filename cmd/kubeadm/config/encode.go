package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	logsapi "k8s.io/component-base/logs/api/v1"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

// Encode writes objects as one YAML stream. Fields that carry no decision (null, zero durations, empty strings, lists and
// objects that the reader fills with the same default) are left out, so that what remains is what somebody chose. Three empty
// values do decide and stay: `resolvConf: ""`, `taints: []` and `ttl: 0s`.
func Encode(objects ...any) ([]byte, error) {
	var out bytes.Buffer
	for i, object := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		tree, err := toTree(object)
		if err != nil {
			return nil, err
		}
		data, err := yaml.Marshal(tree)
		if err != nil {
			return nil, err
		}
		out.Write(data)
	}
	return out.Bytes(), nil
}

func toTree(object any) (map[string]any, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", object, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("encoding %T: %w", object, err)
	}
	var logging *logsapi.LoggingConfiguration
	switch o := object.(type) {
	case *kubeletv1beta1.KubeletConfiguration:
		logging = &o.Logging
	case *proxyv1alpha1.KubeProxyConfiguration:
		logging = &o.Logging
	}
	if logging != nil && reflect.ValueOf(*logging).IsZero() {
		delete(tree, "logging")
	}
	prune(tree)
	return tree, nil
}

// prune removes undecided values, depth first.
func prune(tree map[string]any) {
	for key, value := range tree {
		switch v := value.(type) {
		case nil:
			delete(tree, key)
		case string:
			if v == "0s" && key != "ttl" || v == "" && key != "resolvConf" && key != "value" {
				delete(tree, key)
			}
		case map[string]any:
			prune(v)
			if len(v) == 0 {
				delete(tree, key)
			}
		case []any:
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					prune(m)
				}
			}
		}
	}
}
