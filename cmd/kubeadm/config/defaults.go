package config

import (
	"fmt"
	"time"

	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
)

const (
	DefaultClusterName     = "kubernetes"
	DefaultCertificatesDir = "/etc/kubernetes/pki"
	DefaultServiceSubnet   = "10.96.0.0/12"
	DefaultDNSDomain       = "cluster.local"
	DefaultBindPort        = 6443
	DefaultEtcdDataDir     = "/var/lib/etcd"
	DefaultCACertPath      = DefaultCertificatesDir + "/ca.crt"
	DefaultTokenTTL        = 24 * time.Hour

	// LabelControlPlane marks control plane nodes; TaintControlPlane keeps ordinary pods off them.
	LabelControlPlane = "node-role.kubernetes.io/control-plane"
	// NodeBootstrapGroup is the group of joining nodes' tokens.
	NodeBootstrapGroup = bootstrapapi.BootstrapDefaultGroup + ":kubeadm:default-node-token"
)

// ControlPlaneTaint is the taint control plane nodes get by default.
func ControlPlaneTaint() corev1.Taint {
	return corev1.Taint{Key: LabelControlPlane, Effect: corev1.TaintEffectNoSchedule}
}

// Machine is what defaults need to know of the node they are made for.
type Machine struct {
	Hostname   string
	Address    func() (string, error) // the address other nodes reach this one by
	CRISocket  func() (string, error) // the endpoint of the container runtime that is installed
	Systemd    bool                   // whether systemd manages services and cgroups
	ResolvConf string                 // the resolver file pods shall inherit, "" for the kubelet's own default
}

// DefaultInit fills what init's configuration leaves open.
func DefaultInit(c *InitConfiguration, m Machine) error {
	c.TypeMeta = metav1.TypeMeta{APIVersion: APIVersion, Kind: KindInit}
	if err := defaultNode(&c.NodeRegistration, m, true); err != nil {
		return err
	}
	if err := defaultEndpoint(&c.LocalAPIEndpoint, m, "localAPIEndpoint.advertiseAddress (--apiserver-advertise-address)"); err != nil {
		return err
	}
	c.Timeouts = DefaultTimeouts(c.Timeouts)
	if len(c.BootstrapTokens) == 0 {
		c.BootstrapTokens = []BootstrapToken{{}}
	}
	for i := range c.BootstrapTokens {
		if err := DefaultToken(&c.BootstrapTokens[i]); err != nil {
			return err
		}
	}
	return nil
}

// DefaultToken completes a bootstrap token; an empty one is generated.
func DefaultToken(t *BootstrapToken) (err error) {
	if t.Token == "" {
		if t.Token, err = bootstraputil.GenerateBootstrapToken(); err != nil {
			return fmt.Errorf("generating a bootstrap token: %w", err)
		}
	}
	if len(t.Usages) == 0 {
		t.Usages = append([]string(nil), bootstrapapi.KnownTokenUsages...)
	}
	if len(t.Groups) == 0 {
		t.Groups = []string{NodeBootstrapGroup}
	}
	if t.TTL == nil && t.Expires == nil {
		t.TTL = &metav1.Duration{Duration: DefaultTokenTTL}
	}
	return nil
}

// DefaultCluster fills what the cluster's configuration leaves open and resolves version labels.
func DefaultCluster(c *ClusterConfiguration) (err error) {
	c.TypeMeta = metav1.TypeMeta{APIVersion: APIVersion, Kind: KindCluster}
	if c.KubernetesVersion, err = ResolveVersion(c.KubernetesVersion); err != nil {
		return fmt.Errorf("kubernetesVersion: %w", err)
	}
	setString(&c.ClusterName, DefaultClusterName)
	setString(&c.CertificatesDir, DefaultCertificatesDir)
	setString(&c.ImageRepository, DefaultImageRepository)
	setString(&c.Networking.ServiceSubnet, DefaultServiceSubnet)
	setString(&c.Networking.DNSDomain, DefaultDNSDomain)
	setString(&c.EncryptionAlgorithm, "RSA-2048")
	if c.CertificateValidityPeriod == nil {
		c.CertificateValidityPeriod = &metav1.Duration{Duration: 365 * 24 * time.Hour}
	}
	if c.CACertificateValidityPeriod == nil {
		c.CACertificateValidityPeriod = &metav1.Duration{Duration: 10 * 365 * 24 * time.Hour}
	}
	if c.Etcd.Local == nil && c.Etcd.External == nil {
		c.Etcd.Local = &LocalEtcd{}
	}
	if c.Etcd.Local != nil {
		setString(&c.Etcd.Local.DataDir, DefaultEtcdDataDir)
	}
	return nil
}

// DefaultJoin fills what join's configuration leaves open.
func DefaultJoin(c *JoinConfiguration, m Machine) error {
	c.TypeMeta = metav1.TypeMeta{APIVersion: APIVersion, Kind: KindJoin}
	if err := defaultNode(&c.NodeRegistration, m, c.ControlPlane != nil); err != nil {
		return err
	}
	setString(&c.CACertPath, DefaultCACertPath)
	if c.ControlPlane != nil {
		if err := defaultEndpoint(&c.ControlPlane.LocalAPIEndpoint, m, "controlPlane.localAPIEndpoint.advertiseAddress (--apiserver-advertise-address)"); err != nil {
			return err
		}
	}
	c.Timeouts = DefaultTimeouts(c.Timeouts)
	if t := c.Discovery.BootstrapToken; t != nil {
		setString(&t.Token, c.Discovery.TLSBootstrapToken)
		setString(&c.Discovery.TLSBootstrapToken, t.Token)
	}
	return nil
}

// DefaultReset fills what reset's configuration leaves open.
func DefaultReset(c *ResetConfiguration, m Machine) {
	c.TypeMeta = metav1.TypeMeta{APIVersion: APIVersion, Kind: KindReset}
	setString(&c.CertificatesDir, DefaultCertificatesDir)
	if c.CRISocket == "" && m.CRISocket != nil {
		if socket, err := m.CRISocket(); err == nil {
			c.CRISocket = socket
		}
	}
	c.Timeouts = DefaultTimeouts(c.Timeouts)
}

// DefaultUpgrade fills what the upgrade configuration leaves open.
func DefaultUpgrade(c *UpgradeConfiguration) {
	c.TypeMeta = metav1.TypeMeta{APIVersion: APIVersion, Kind: KindUpgrade}
	for _, flag := range []**bool{&c.Apply.CertificateRenewal, &c.Apply.EtcdUpgrade, &c.Node.CertificateRenewal, &c.Node.EtcdUpgrade, &c.Plan.EtcdUpgrade} {
		if *flag == nil {
			*flag = ptr.To(true)
		}
	}
	for _, policy := range []*corev1.PullPolicy{&c.Apply.ImagePullPolicy, &c.Node.ImagePullPolicy} {
		if *policy == "" {
			*policy = corev1.PullIfNotPresent
		}
	}
	setPointer(&c.Apply.ImagePullSerial, true)
	setPointer(&c.Node.ImagePullSerial, true)
	if c.Diff.DiffContextLines == 0 {
		c.Diff.DiffContextLines = 3
	}
	c.Timeouts = DefaultTimeouts(c.Timeouts)
}

// DefaultTimeouts returns t with every wait bounded.
func DefaultTimeouts(t *Timeouts) *Timeouts {
	if t == nil {
		t = &Timeouts{}
	}
	for _, d := range []struct {
		field **metav1.Duration
		value time.Duration
	}{
		{&t.ControlPlaneComponentHealthCheck, 4 * time.Minute},
		{&t.KubeletHealthCheck, 4 * time.Minute},
		{&t.KubernetesAPICall, time.Minute},
		{&t.EtcdAPICall, 2 * time.Minute},
		{&t.TLSBootstrap, 5 * time.Minute},
		{&t.Discovery, 5 * time.Minute},
		{&t.UpgradeManifests, 5 * time.Minute},
	} {
		if *d.field == nil {
			*d.field = &metav1.Duration{Duration: d.value}
		}
	}
	return t
}

// DefaultKubelet fills the cluster-wide kubelet configuration with what belongs to the cluster (DNS, authority, static pod path)
// and to the way kubeadm runs kubelets. Values a user chose are kept.
func DefaultKubelet(k *kubeletv1beta1.KubeletConfiguration, c *ClusterConfiguration, m Machine) error {
	k.TypeMeta = metav1.TypeMeta{APIVersion: kubeletv1beta1.SchemeGroupVersion.String(), Kind: KindKubelet}
	setString(&k.StaticPodPath, "/etc/kubernetes/manifests")
	setString(&k.ClusterDomain, c.Networking.DNSDomain)
	if len(k.ClusterDNS) == 0 {
		if ip, err := c.Networking.DNSIP(); err == nil { // validation tells what is wrong with the range, and all else
			k.ClusterDNS = []string{ip.String()}
		}
	}
	setString(&k.Authentication.X509.ClientCAFile, c.CertificatesDir+"/ca.crt")
	setPointer(&k.Authentication.Anonymous.Enabled, false)
	setPointer(&k.Authentication.Webhook.Enabled, true)
	if k.Authorization.Mode == "" {
		k.Authorization.Mode = kubeletv1beta1.KubeletAuthorizationModeWebhook
	}
	setString(&k.HealthzBindAddress, "127.0.0.1")
	setPointer(&k.HealthzPort, 10248)
	k.RotateCertificates = true
	if k.CgroupDriver == "" {
		k.CgroupDriver = "cgroupfs"
		if m.Systemd {
			k.CgroupDriver = "systemd"
		}
	}
	if k.ResolverConfig == nil && m.ResolvConf != "" {
		k.ResolverConfig = ptr.To(m.ResolvConf)
	}
	return nil
}

// DefaultProxy fills the cluster-wide kube-proxy configuration. The mode is nftables: it needs no iptables binaries and scales
// with the number of Services (https://kubernetes.io/docs/reference/networking/virtual-ips/).
func DefaultProxy(p *proxyv1alpha1.KubeProxyConfiguration, c *ClusterConfiguration) {
	p.TypeMeta = metav1.TypeMeta{APIVersion: proxyv1alpha1.SchemeGroupVersion.String(), Kind: KindProxy}
	setString(&p.ClusterCIDR, c.Networking.PodSubnet)
	setString(&p.ClientConnection.Kubeconfig, "/var/lib/kube-proxy/kubeconfig.conf")
	if p.Mode == "" {
		p.Mode = "nftables"
	}
	setString(&p.BindAddress, "0.0.0.0")
}

func defaultNode(n *NodeRegistration, m Machine, controlPlane bool) error {
	setString(&n.Name, m.Hostname)
	if n.CRISocket == "" && m.CRISocket != nil {
		socket, err := m.CRISocket()
		if err != nil {
			return err
		}
		n.CRISocket = socket
	}
	if n.Taints == nil && controlPlane {
		n.Taints = []corev1.Taint{ControlPlaneTaint()}
	}
	if n.ImagePullPolicy == "" {
		n.ImagePullPolicy = corev1.PullIfNotPresent
	}
	setPointer(&n.ImagePullSerial, true)
	return nil
}

func defaultEndpoint(e *APIEndpoint, m Machine, field string) error {
	if e.BindPort == 0 {
		e.BindPort = DefaultBindPort
	}
	if e.AdvertiseAddress == "" || e.AdvertiseAddress == "0.0.0.0" || e.AdvertiseAddress == "::" {
		if m.Address == nil {
			return fmt.Errorf("%s is required", field)
		}
		address, err := m.Address()
		if err != nil {
			return fmt.Errorf("%s is not set and no address can be chosen: %w", field, err)
		}
		e.AdvertiseAddress = address
	}
	return nil
}

func setString(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
