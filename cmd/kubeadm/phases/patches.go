package phases

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

// Patch targets beside the components of the control plane.
const (
	kubeletTarget = "kubeletconfiguration"
	coreDNSTarget = "corednsdeployment"
)

// patchFile is the documented form of a patch file's name: target, an optional suffix that orders patches, and the kind of patch.
const patchFile = `^(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubeletconfiguration|corednsdeployment)([^+.]*)(?:\+(strategic|merge|json))?\.(?:json|yaml)$`

// patched applies the patches of a folder that are for target, in alphabetical order. The kind of patch is strategic unless the
// name says otherwise. Without a folder the object comes back as it is.
func patched[T any](dir, target string, object *T) (*T, error) {
	if dir == "" {
		return object, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("patches: %w", err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	pattern, changed := regexp.MustCompile(patchFile), false
	for _, entry := range entries {
		match := pattern.FindStringSubmatch(entry.Name())
		if entry.IsDir() || match == nil || match[1] != target {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("patches: %w", err)
		}
		if data, err = applyPatch(data, raw, match[3], *new(T)); err != nil {
			return nil, fmt.Errorf("patch %s: %w", filepath.Join(dir, entry.Name()), err)
		}
		changed = true
	}
	if !changed {
		return object, nil
	}
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("patches of %s in %s: %w", target, dir, err)
	}
	return out, nil
}

func applyPatch(data, raw []byte, kind string, schema any) ([]byte, error) {
	patch, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "json":
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		return decoded.Apply(data)
	case "merge":
		return jsonpatch.MergePatch(data, patch)
	default:
		return strategicpatch.StrategicMergePatch(data, patch, schema)
	}
}
