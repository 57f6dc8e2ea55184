package server

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/component-base/featuregate"
)

// PeerOptions say how the API servers of one etcd reach each other (KEP-4020).
type PeerOptions struct {
	CAFile                     string
	AdvertiseIP, AdvertisePort string
}

// AddFlags adds the flags to fs.
func (o *PeerOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.CAFile, "peer-ca-file", o.CAFile,
		"Certificate authorities of the other API servers' serving certificates. With it, requests for an API that only another server has are passed on to that one.")
	fs.StringVar(&o.AdvertiseIP, "peer-advertise-ip", o.AdvertiseIP, "Address at which the other API servers reach this one. Default: --advertise-address.")
	fs.StringVar(&o.AdvertisePort, "peer-advertise-port", o.AdvertisePort, "Port at which the other API servers reach this one. Default: --secure-port.")
}

// wanted says whether this server takes part.
func (o *PeerOptions) wanted() bool { return *o != PeerOptions{} }

// Validate returns every fault of the flags; gates and the proxy's certificate count too.
func (o *PeerOptions) Validate(gates featuregate.FeatureGate, proxyCertFile string) []error {
	if !o.wanted() {
		return nil
	}
	var errs []error
	for _, gate := range []featuregate.Feature{features.UnknownVersionInteroperabilityProxy, features.APIServerIdentity} {
		if !gates.Enabled(gate) {
			errs = append(errs, fmt.Errorf("--peer-ca-file, --peer-advertise-ip and --peer-advertise-port need the feature gate %s, which is off", gate))
		}
	}
	if o.CAFile != "" && proxyCertFile == "" {
		errs = append(errs, fmt.Errorf("--peer-ca-file=%s: needs --proxy-client-cert-file and --proxy-client-key-file, by which the other servers know this one", o.CAFile))
	}
	if o.AdvertiseIP != "" && net.ParseIP(o.AdvertiseIP) == nil {
		errs = append(errs, fmt.Errorf("--peer-advertise-ip=%s: is no IP address", o.AdvertiseIP))
	}
	if port, err := strconv.ParseUint(o.AdvertisePort, 10, 16); o.AdvertisePort != "" && (err != nil || port == 0) {
		errs = append(errs, fmt.Errorf("--peer-advertise-port=%s: is no port (1-65535)", o.AdvertisePort))
	}
	return errs
}

// address is where the others reach this server.
func (o *PeerOptions) address(ip net.IP, port int) string {
	host, portText := o.AdvertiseIP, o.AdvertisePort
	if host == "" {
		host = ip.String()
	}
	if portText == "" {
		portText = strconv.Itoa(port)
	}
	return net.JoinHostPort(host, portText)
}
