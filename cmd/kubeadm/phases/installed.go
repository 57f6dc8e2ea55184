package phases

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

const endpointAnnotation = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"

// ReadInstalled completes a Node with what is on this machine: the node's name from the kubelet's credentials, the runtime's
// socket from the instance configuration, and the API server's address from its manifest, if there is one.
func (n *Node) ReadInstalled() error {
	name, err := n.installedName()
	if err != nil {
		return err
	}
	n.Registration.Name = name
	if data, err := os.ReadFile(n.At(InstanceConfig)); err == nil {
		docs, err := config.Decode(data)
		if err != nil {
			return fmt.Errorf("%s: %w", InstanceConfig, err)
		}
		if docs.Kubelet != nil && docs.Kubelet.ContainerRuntimeEndpoint != "" {
			n.Registration.CRISocket = docs.Kubelet.ContainerRuntimeEndpoint
		}
	}
	if !n.IsControlPlane() {
		return nil
	}
	pod, err := readPod(n.Manifest(APIServer))
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(pod.Annotations[endpointAnnotation])
	if err != nil {
		return fmt.Errorf("%s: annotation %s: %w", n.Manifest(APIServer), endpointAnnotation, err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return fmt.Errorf("%s: annotation %s: %w", n.Manifest(APIServer), endpointAnnotation, err)
	}
	n.Endpoint = config.APIEndpoint{AdvertiseAddress: host, BindPort: int32(number)}
	return n.readEtcdMembers()
}

// IsControlPlane reports whether this machine runs an API server.
func (n *Node) IsControlPlane() bool { return n.exists(filepath.Join(ManifestsDir, APIServer+".yaml")) }

// installedName reads the name the kubelet authenticates as.
func (n *Node) installedName() (string, error) {
	path := n.Conf(KubeletConf)
	cfg, err := certs.ReadKubeconfig(path)
	if err != nil {
		return "", fmt.Errorf("this machine is no node of a cluster: %w", err)
	}
	_, user, err := certs.Current(cfg)
	if err != nil || user == nil {
		return "", fmt.Errorf("%s: no user in the current context: %w", path, err)
	}
	data := user.ClientCertificateData
	if len(data) == 0 {
		if data, err = os.ReadFile(n.At(user.ClientCertificate)); err != nil {
			return "", fmt.Errorf("%s: client certificate: %w", path, err)
		}
	}
	list, err := certs.ParseCerts(data)
	if err != nil {
		return "", fmt.Errorf("%s: client certificate: %w", path, err)
	}
	name, ok := strings.CutPrefix(list[0].Subject.CommonName, "system:node:")
	if !ok {
		return "", fmt.Errorf("%s: the certificate is of %q, not of a node", path, list[0].Subject.CommonName)
	}
	return name, nil
}

// readEtcdMembers keeps the members this node's etcd was told of when it joined, so that its manifest is rewritten the same.
func (n *Node) readEtcdMembers() error {
	if n.Cluster.Etcd.Local == nil || !n.exists(filepath.Join(ManifestsDir, Etcd+".yaml")) {
		return nil
	}
	pod, err := readPod(n.Manifest(Etcd))
	if err != nil {
		return err
	}
	existing := false
	members := map[string]string{}
	for _, container := range pod.Spec.Containers {
		for _, arg := range container.Command {
			if arg == "--initial-cluster-state=existing" {
				existing = true
			}
			if list, ok := strings.CutPrefix(arg, "--initial-cluster="); ok {
				for _, member := range strings.Split(list, ",") {
					name, url, _ := strings.Cut(member, "=")
					members[name] = url
				}
			}
		}
	}
	if existing {
		n.EtcdMembers = members
	}
	return nil
}
