package config

import (
	"github.com/spf13/pflag"
	kubeproxyconfig "k8s.io/kube-proxy/config/v1alpha1"
)

func visited(fs *pflag.FlagSet) []*pflag.Flag {
	var flags []*pflag.Flag
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			flags = append(flags, f)
		}
	})
	return flags
}

type modeValue kubeproxyconfig.ProxyMode

func (m *modeValue) String() string     { return string(*m) }
func (m *modeValue) Set(s string) error { *m = modeValue(s); return nil }
func (m *modeValue) Type() string       { return "mode" }

type localModeValue kubeproxyconfig.LocalMode

func (m *localModeValue) String() string     { return string(*m) }
func (m *localModeValue) Set(s string) error { *m = localModeValue(s); return nil }
func (m *localModeValue) Type() string       { return "mode" }
