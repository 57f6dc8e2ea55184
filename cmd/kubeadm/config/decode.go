package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Documents is what a configuration file held: at most one of each kind, nil where the file has none.
type Documents struct {
	Init    *InitConfiguration
	Cluster *ClusterConfiguration
	Join    *JoinConfiguration
	Reset   *ResetConfiguration
	Upgrade *UpgradeConfiguration
	Kubelet *kubeletv1beta1.KubeletConfiguration
	Proxy   *proxyv1alpha1.KubeProxyConfiguration
}

// ReadFile decodes a configuration file.
func ReadFile(path string) (*Documents, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	docs, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", path, err)
	}
	return docs, nil
}

// Decode reads YAML or JSON documents. All faults of a file are reported together, each with the number and kind of its document.
func Decode(data []byte) (*Documents, error) {
	raws, err := split(data)
	if err != nil {
		return nil, err
	}
	docs := &Documents{}
	var faults []error
	for i, raw := range raws {
		kind, err := docs.add(raw)
		if err != nil {
			faults = append(faults, fmt.Errorf("document %d%s: %w", i+1, kind, err))
		}
	}
	if len(raws) == 0 {
		faults = append(faults, errors.New("no document found: the file must hold at least one object with apiVersion and kind"))
	}
	return docs, errors.Join(faults...)
}

// split cuts a YAML stream at its separators and turns each document into JSON. Empty documents are dropped.
func split(data []byte) ([][]byte, error) {
	var out [][]byte
	reader := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		raw, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d is no valid YAML: %w", len(out)+1, err)
		}
		if trimmed := bytes.TrimSpace(raw); len(trimmed) > 0 && string(trimmed) != "null" {
			out = append(out, raw)
		}
	}
}

func (d *Documents) add(raw []byte) (kind string, err error) {
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &meta); err != nil {
		return "", err
	}
	if meta.Kind == "" || meta.APIVersion == "" {
		return "", errors.New("apiVersion and kind are required: for example apiVersion: " + APIVersion + ", kind: " + KindInit)
	}
	kind = " (" + meta.Kind + ")"
	switch meta.GroupVersionKind().GroupVersion().String() + "/" + meta.Kind {
	case APIVersion + "/" + KindInit:
		d.Init, err = strict(raw, d.Init)
	case APIVersion + "/" + KindCluster:
		d.Cluster, err = strict(raw, d.Cluster)
	case APIVersion + "/" + KindJoin:
		d.Join, err = strict(raw, d.Join)
	case APIVersion + "/" + KindReset:
		d.Reset, err = strict(raw, d.Reset)
	case APIVersion + "/" + KindUpgrade:
		d.Upgrade, err = strict(raw, d.Upgrade)
	case kubeletv1beta1.SchemeGroupVersion.String() + "/" + KindKubelet:
		d.Kubelet, err = strict(raw, d.Kubelet)
	case proxyv1alpha1.SchemeGroupVersion.String() + "/" + KindProxy:
		d.Proxy, err = strict(raw, d.Proxy)
	default:
		err = fmt.Errorf("unknown apiVersion %q and kind %q", meta.APIVersion, meta.Kind)
		if meta.GroupVersionKind().Group == Group && meta.GroupVersionKind().Version != Version {
			err = fmt.Errorf("apiVersion %q is not served: rewrite the file with `kubeadm config migrate --old-config FILE --new-config FILE`", meta.APIVersion)
		}
	}
	return kind, err
}

// strict decodes one document; an earlier one of the same kind, an unknown field or a doubled field is an error.
func strict[T any](raw []byte, earlier *T) (*T, error) {
	if earlier != nil {
		return earlier, errors.New("this kind stands in the file twice: merge the two documents")
	}
	into := new(T)
	strictErrs, err := kjson.UnmarshalStrict(raw, into)
	if err != nil {
		return nil, err
	}
	return into, errors.Join(strictErrs...)
}
