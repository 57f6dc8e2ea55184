package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
)

// Daemon describes a daemon's command line.
type Daemon struct {
	Name  string // the binary's usual name, e.g. "kube-scheduler"
	Short string // one line for the head of --help
	Long  string
	// Flags are the daemon's own flags by section; logging, --version and --help are added.
	Flags *cliflag.NamedFlagSets
	// Logging is set when a configuration file carries the logging options too; otherwise they are flags alone.
	Logging *logsapi.LoggingConfiguration
	// FeatureGates, when set, gate the logging options (contextual logging, JSON info buffers) and are told as metrics.
	FeatureGates featuregate.MutableFeatureGate
	// Complete runs after the flags are parsed and before logging is set up: read the configuration file,
	// validate. What it returns is printed as one line, exit code 1.
	Complete func() error
	// Burst is by how many bytes its heap may grow under a load until it is collected; less than what lives, or 0: by as much
	// as lives, the runtime's own rule.
	Burst uint64
	// Run is the daemon; ctx ends with SIGTERM or SIGINT. A second signal ends the process at once.
	Run func(ctx context.Context) error
}

// Command returns the cobra command of d, ready for Main.
func Command(d Daemon) *cobra.Command {
	logging := d.Logging
	if logging == nil {
		logging = logsapi.NewLoggingConfiguration()
	}
	cmd := &cobra.Command{
		Use:   d.Name,
		Short: d.Short,
		Long:  d.Long,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown argument %q: %s takes flags only", args[0], cmd.Name())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if d.Complete != nil {
				if err := d.Complete(); err != nil {
					return err
				}
			}
			if err := logsapi.ValidateAndApply(logging, d.FeatureGates); err != nil {
				return err
			}
			if d.FeatureGates != nil {
				d.FeatureGates.AddMetrics()
			}
			cliflag.PrintFlags(cmd.Flags())
			ctx, stop := SignalContext()
			defer stop()
			settle := time.AfterFunc(startIsOver, releaseStart)
			go releaseWhenQuiet(ctx)
			go paceCollector(ctx, d.Burst)
			defer settle.Stop()
			logger := klog.LoggerWithName(klog.Background(), d.Name)
			return d.Run(klog.NewContext(ctx, logger))
		},
	}
	verflag.AddFlags(d.Flags.FlagSet("global"))
	globalflag.AddGlobalFlags(d.Flags.FlagSet("global"), d.Name, logs.SkipLoggingConfigurationFlags())
	logsapi.AddFlags(logging, d.Flags.FlagSet("logs"))
	for _, fs := range d.Flags.FlagSets {
		cmd.Flags().AddFlagSet(fs)
	}
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, *d.Flags, columns)
	return cmd
}

// Main runs cmd and returns the process's exit code: 0, or 1 with the fault in one line on standard error.
func Main(cmd *cobra.Command) int {
	defer logs.FlushLogs()
	cmd.SetGlobalNormalizationFunc(cliflag.WordSepNormalizeFunc)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	logs.InitLogs()
	if err := cmd.Execute(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, pflag.ErrHelp) {
		logs.FlushLogs()
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
		return 1
	}
	return 0
}

// SignalContext ends with the first SIGTERM or SIGINT; a second one ends the process with exit code 1.
func SignalContext() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
			<-signals
			os.Exit(1)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}
