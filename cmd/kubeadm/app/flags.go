package app

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// gates is the value of --feature-gates: name=true,name=false.
type gates map[string]bool

func (g gates) String() string {
	var out []string
	for name, on := range g {
		out = append(out, name+"="+strconv.FormatBool(on))
	}
	return strings.Join(out, ",")
}

func (g gates) Type() string { return "mapStringBool" }

func (g gates) Set(text string) error {
	for _, item := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return fmt.Errorf("%q must be name=true or name=false", item)
		}
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q: %w", item, err)
		}
		g[name] = on
	}
	return nil
}

// commonFlags are those that init and join share.
type commonFlags struct {
	config, nodeName, criSocket, patches, advertise, certificateKey string
	ignore, skip                                                    []string
	bindPort                                                        int32
	dryRun                                                          bool
}

func (c *commonFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&c.config, "config", "", "Path to a kubeadm configuration file.")
	flags.StringVar(&c.nodeName, "node-name", "", "Specify the node name.")
	flags.StringVar(&c.criSocket, "cri-socket", "", "Path to the CRI socket to connect. If empty kubeadm will try to auto-detect this value; use this option only if you have more than one CRI installed or if you have non-standard CRI socket.")
	flags.StringVar(&c.patches, "patches", "", "Path to a directory that contains files named \"target[suffix][+patchtype].extension\". For example, \"kube-apiserver0+merge.yaml\" or just \"etcd.json\". \"target\" can be one of \"kube-apiserver\", \"kube-controller-manager\", \"kube-scheduler\", \"etcd\", \"kubeletconfiguration\", \"corednsdeployment\". \"patchtype\" can be one of \"strategic\", \"merge\" or \"json\". The default \"patchtype\" is \"strategic\". \"extension\" must be either \"json\" or \"yaml\". \"suffix\" is an optional string that can be used to determine which patches are applied first alpha-numerically.")
	flags.StringVar(&c.advertise, "apiserver-advertise-address", "", "The IP address the API Server will advertise it's listening on. If not set the default network interface will be used.")
	flags.Int32Var(&c.bindPort, "apiserver-bind-port", 6443, "Port for the API Server to bind to.")
	flags.StringVar(&c.certificateKey, "certificate-key", "", "Key used to encrypt the control-plane certificates in the kubeadm-certs Secret. The certificate key is a hex encoded string that is an AES key of size 32 bytes.")
	flags.StringSliceVar(&c.ignore, "ignore-preflight-errors", nil, "A list of checks whose errors will be shown as warnings. Example: 'IsPrivilegedUser,Swap'. Value 'all' ignores errors from all checks.")
	flags.StringSliceVar(&c.skip, "skip-phases", nil, "List of phases to be skipped")
	flags.BoolVar(&c.dryRun, "dry-run", false, "Don't apply any changes; just output what would be done.")
}

// merge lets a flag that was given win over the file, else the file over the flag's default.
func merge[T any](flags *pflag.FlagSet, name string, flag T, field *T) {
	if f := flags.Lookup(name); f != nil && f.Changed {
		*field = flag
	}
}
