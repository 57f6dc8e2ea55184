package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/host"
	"pilotis.dev/cmd/kubeadm/preflight"
)

// Exit codes as upstream gives them.
const (
	exitFailure    = 1
	exitPreflight  = 2
	exitValidation = 3
)

// Env is what the commands run on.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Host     *host.Local
	Now      func() time.Time
}

// invalid marks an error as the fault of flags or configuration.
type invalid struct{ error }

func (i invalid) Unwrap() error { return i.error }

// Run carries out a command line and returns the exit code.
func Run(ctx context.Context, env Env, args []string) int {
	cmd := New(env)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var checks *preflight.Error
	var fault invalid
	code := exitFailure
	switch {
	case errors.As(err, &checks):
		fmt.Fprintln(env.Err, checks.Error())
		return exitPreflight
	case errors.As(err, &fault):
		code = exitValidation
	}
	fmt.Fprintf(env.Err, "error: %v\n", err)
	if strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "unknown flag") {
		fmt.Fprintln(env.Err, "Run 'kubeadm --help' for usage.")
	}
	return code
}

// New returns the kubeadm command.
func New(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubeadm",
		Short: "kubeadm: easily bootstrap a secure Kubernetes cluster",
		Long: `kubeadm makes a Kubernetes cluster out of machines that have a container runtime and a kubelet.

    On the first control plane node:   kubeadm init
    On every other node:               kubeadm join <arguments-returned-from-init>
`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          showHelp,
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	addLogFlags(root.PersistentFlags())
	rootfs := root.PersistentFlags().String("rootfs", "", "The path to the 'real' host root filesystem. This will cause kubeadm to chroot into the provided path.")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return chroot(*rootfs) }
	root.AddCommand(
		newInit(env), newJoin(env), newReset(env), newToken(env), newCerts(env), newConfig(env), newKubeconfig(env), newUpgrade(env), newVersion(env),
	)
	return root
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// addLogFlags offers -v, which the client library's logs obey.
func addLogFlags(flags *pflag.FlagSet) {
	own := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(own)
	v := pflag.PFlagFromGoFlag(own.Lookup("v"))
	v.Usage = "number for the log level verbosity"
	flags.AddFlag(v)
}

func chroot(path string) error {
	if path == "" {
		return nil
	}
	if err := syscall.Chroot(path); err != nil {
		return fmt.Errorf("--rootfs %s: %w", path, err)
	}
	return os.Chdir("/")
}

// machine gathers what defaults need to know of this machine.
func (e Env) machine() (config.Machine, error) {
	hostname, err := e.Host.Hostname()
	return config.Machine{
		Hostname: hostname, Address: e.Host.Address, CRISocket: e.Host.CRISocket, Systemd: e.Host.Systemd(), ResolvConf: e.Host.ResolvConf(),
	}, err
}

// dialer connects to the container runtime when a check first asks for it.
func dialer(endpoint string) func(context.Context) (preflight.Runtime, error) {
	var runtime *host.Runtime
	var failed error
	return func(ctx context.Context) (preflight.Runtime, error) {
		if runtime == nil && failed == nil {
			runtime, failed = host.DialRuntime(ctx, endpoint)
		}
		if failed != nil {
			return nil, failed
		}
		return runtime, nil
	}
}

// noMixing refuses flags that a configuration file says too; those in allowed only direct this one run.
func noMixing(flags *pflag.FlagSet, allowed ...string) error {
	if file := flags.Lookup("config"); file == nil || !file.Changed {
		return nil
	}
	fine := map[string]bool{"config": true, "v": true, "rootfs": true, "kubeconfig": true}
	for _, name := range allowed {
		fine[name] = true
	}
	var mixed []string
	flags.Visit(func(f *pflag.Flag) {
		if !fine[f.Name] {
			mixed = append(mixed, "--"+f.Name)
		}
	})
	if len(mixed) > 0 {
		return invalid{fmt.Errorf("can not mix '--config' with arguments %v: set them in the file", mixed)}
	}
	return nil
}
