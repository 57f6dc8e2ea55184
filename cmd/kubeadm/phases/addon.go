package phases

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
)

// Add-ons a cluster starts with.
const (
	CoreDNS   = "coredns"
	KubeProxy = "kube-proxy"
	PodNet    = "podnet"
)

// addonFiles are the manifests of the add-ons, as templates over addonValues.
//
//go:embed addons/*.yaml
var addonFiles embed.FS

// addonValues is what the templates may use.
type addonValues struct {
	Images      config.Images
	Domain      string // cluster.local
	DNSIP       string // of the Service kube-dns
	Forward     bool   // whether CoreDNS asks the node's DNS servers for names outside the cluster
	Server      string // https://host:port of the control plane
	Host, Port  string // the same, split
	PodSubnet   string
	ProxyConfig string // KubeProxyConfiguration as YAML
}

// AddonManifest returns the manifest of an add-on, filled in for this cluster.
func (n *Node) AddonManifest(name string) ([]byte, error) {
	values, err := n.addonValues()
	if err != nil {
		return nil, err
	}
	text, err := addonFiles.ReadFile("addons/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("unknown add-on %q: %w", name, err)
	}
	indent := func(width int, text string) string {
		pad := strings.Repeat(" ", width)
		return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad)
	}
	parsed, err := template.New(name).Funcs(template.FuncMap{"indent": indent}).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, values); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (n *Node) addonValues() (addonValues, error) {
	server, err := n.server(false)
	if err != nil {
		return addonValues{}, err
	}
	host, port, err := config.SplitEndpoint(strings.TrimPrefix(server, "https://"))
	if err != nil {
		return addonValues{}, err
	}
	dns, err := n.Cluster.Networking.DNSIP()
	if err != nil {
		return addonValues{}, err
	}
	var proxy []byte
	if n.ProxyCfg != nil {
		if proxy, err = config.Encode(n.ProxyCfg); err != nil {
			return addonValues{}, err
		}
	}
	return addonValues{
		Images: config.ImagesOf(n.Cluster), Domain: n.Cluster.Networking.DNSDomain, DNSIP: dns.String(), Forward: n.Nameservers,
		Server: server, Host: host, Port: port, PodSubnet: n.Cluster.Networking.PodSubnet, ProxyConfig: string(proxy),
	}, nil
}

// Addon returns the objects of an add-on.
func (n *Node) Addon(name string) ([]runtime.Object, error) {
	data, err := n.AddonManifest(name)
	if err != nil {
		return nil, err
	}
	var objects []runtime.Object
	reader := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(doc, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("add-on %s: %w", name, err)
		}
		if deployment, ok := object.(*appsv1.Deployment); ok && name == CoreDNS {
			if object, err = patched(n.PatchesDir, coreDNSTarget, deployment); err != nil {
				return nil, err
			}
		}
		objects = append(objects, object)
	}
}

// InstallAddon applies an add-on. The Corefile is written only where there is none: users edit it.
func (n *Node) InstallAddon(ctx context.Context, client kubernetes.Interface, name string) error {
	objects, err := n.Addon(name)
	if err != nil {
		return err
	}
	for _, object := range objects {
		corefile, ok := object.(*corev1.ConfigMap)
		if !ok || name != CoreDNS {
			if err := n.apply(ctx, client, object); err != nil {
				return err
			}
			continue
		}
		err := cluster.Retry(ctx, n.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
			return cluster.CreateMissing(ctx, client, corefile)
		})
		if err != nil {
			return err
		}
	}
	n.say("addons", "Applied essential addon: %s", map[string]string{CoreDNS: "CoreDNS", KubeProxy: "kube-proxy", PodNet: "pod network (podnet)"}[name])
	return nil
}

// AddonInstalled reports whether the workload of an add-on is in the cluster.
func (n *Node) AddonInstalled(ctx context.Context, client kubernetes.Interface, name string) (bool, error) {
	var err error
	if name == CoreDNS {
		_, err = client.AppsV1().Deployments(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	} else {
		_, err = client.AppsV1().DaemonSets(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
