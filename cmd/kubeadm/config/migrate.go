package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"sigs.k8s.io/yaml"
)

// Migrate rewrites a configuration file of kubeadm.k8s.io/v1beta3 as v1beta4 and returns it with every document in order. What
// changed between the two (https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/): extraArgs are lists, and
// apiServer.timeoutForControlPlane and discovery.timeout are timeouts. The result is checked by decoding it strictly.
func Migrate(data []byte) ([]byte, error) {
	raws, err := split(data)
	if err != nil {
		return nil, err
	}
	if len(raws) == 0 {
		return nil, errors.New("no document found")
	}
	var trees []map[string]any
	for i, raw := range raws {
		var tree map[string]any
		if err := json.Unmarshal(raw, &tree); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		trees = append(trees, tree)
	}
	var timeout any
	for _, tree := range trees {
		if tree["apiVersion"] == Group+"/v1beta3" {
			if moved := upgradeDocument(tree); moved != nil {
				timeout = moved
			}
		}
	}
	if timeout != nil {
		section(initDocument(&trees), "timeouts")["controlPlaneComponentHealthCheck"] = timeout
	}
	var out bytes.Buffer
	for i, tree := range trees {
		if i > 0 {
			out.WriteString("---\n")
		}
		text, err := yaml.Marshal(tree)
		if err != nil {
			return nil, err
		}
		out.Write(text)
	}
	if _, err := Decode(out.Bytes()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// initDocument returns the InitConfiguration of a file, which gets one when it has none.
func initDocument(trees *[]map[string]any) map[string]any {
	for _, tree := range *trees {
		if tree["kind"] == KindInit {
			return tree
		}
	}
	added := map[string]any{"apiVersion": APIVersion, "kind": KindInit}
	*trees = append(*trees, added)
	return added
}

// upgradeDocument changes one v1beta3 document in place. It returns a timeout that belongs into another document.
func upgradeDocument(tree map[string]any) (controlPlaneTimeout any) {
	tree["apiVersion"] = APIVersion
	switch tree["kind"] {
	case KindCluster:
		for _, name := range []string{"apiServer", "controllerManager", "scheduler"} {
			if component, ok := tree[name].(map[string]any); ok {
				listArgs(component, "extraArgs")
			}
		}
		if server, ok := tree["apiServer"].(map[string]any); ok {
			controlPlaneTimeout = server["timeoutForControlPlane"]
			delete(server, "timeoutForControlPlane")
		}
		if etcd, ok := tree["etcd"].(map[string]any); ok {
			if local, ok := etcd["local"].(map[string]any); ok {
				listArgs(local, "extraArgs")
			}
		}
	case KindInit, KindJoin:
		if node, ok := tree["nodeRegistration"].(map[string]any); ok {
			listArgs(node, "kubeletExtraArgs")
		}
		if discovery, ok := tree["discovery"].(map[string]any); ok && discovery["timeout"] != nil {
			section(tree, "timeouts")["discovery"] = discovery["timeout"]
			delete(discovery, "timeout")
		}
	}
	return controlPlaneTimeout
}

// listArgs turns {name: value} into [{name, value}], ordered by name.
func listArgs(tree map[string]any, key string) {
	args, ok := tree[key].(map[string]any)
	if !ok {
		return
	}
	list := make([]any, 0, len(args))
	for name, value := range args {
		list = append(list, map[string]any{"name": name, "value": value})
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].(map[string]any)["name"].(string) < list[j].(map[string]any)["name"].(string)
	})
	tree[key] = list
}

func section(tree map[string]any, key string) map[string]any {
	found, ok := tree[key].(map[string]any)
	if !ok {
		found = map[string]any{}
		tree[key] = found
	}
	return found
}
