package server

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	corev1 "k8s.io/api/core/v1"
)

// KubeletOptions say how kubelets are reached for logs, exec, attach, port forwarding and the node proxy.
type KubeletOptions struct {
	CAFile, CertFile, KeyFile string
	AddressTypes              []string // in order of preference
	Timeout                   time.Duration
}

// NewKubeletOptions prefers a node's name to its addresses.
func NewKubeletOptions() *KubeletOptions {
	return &KubeletOptions{
		AddressTypes: []string{
			string(corev1.NodeHostName), string(corev1.NodeInternalDNS), string(corev1.NodeInternalIP),
			string(corev1.NodeExternalDNS), string(corev1.NodeExternalIP),
		},
		Timeout: 5 * time.Second,
	}
}

// AddFlags adds the flags to fs.
func (o *KubeletOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.CAFile, "kubelet-certificate-authority", o.CAFile, "Certificate authorities that sign kubelets' serving certificates.")
	fs.StringVar(&o.CertFile, "kubelet-client-certificate", o.CertFile, "Client certificate of this server towards kubelets.")
	fs.StringVar(&o.KeyFile, "kubelet-client-key", o.KeyFile, "Private key of --kubelet-client-certificate.")
	fs.StringSliceVar(&o.AddressTypes, "kubelet-preferred-address-types", o.AddressTypes, "Which of a node's addresses to use, best first.")
	fs.DurationVar(&o.Timeout, "kubelet-timeout", o.Timeout, "Time limit of connecting to a kubelet.")
}

// Validate returns every fault of the flags.
func (o *KubeletOptions) Validate() []error {
	var errs []error
	if (o.CertFile == "") != (o.KeyFile == "") {
		errs = append(errs, fmt.Errorf("--kubelet-client-certificate and --kubelet-client-key belong together: give both or none"))
	}
	for _, t := range o.AddressTypes {
		switch corev1.NodeAddressType(t) {
		case corev1.NodeHostName, corev1.NodeInternalDNS, corev1.NodeInternalIP, corev1.NodeExternalDNS, corev1.NodeExternalIP:
		default:
			errs = append(errs, fmt.Errorf("--kubelet-preferred-address-types: unknown address type %q, known are Hostname, InternalDNS, InternalIP, ExternalDNS, ExternalIP", t))
		}
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--kubelet-timeout=%s: must be positive", o.Timeout))
	}
	return errs
}
