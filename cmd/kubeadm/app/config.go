package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/host"
	"pilotis.dev/pkg/certs"
)

func newConfig(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Manage configuration for a kubeadm cluster persisted in a ConfigMap in the cluster", Args: cobra.NoArgs, RunE: showHelp}
	cmd.AddCommand(newConfigPrint(env), newConfigValidate(env), newConfigMigrate(env), newConfigImages(env))
	return cmd
}

func newConfigPrint(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "print", Short: "Print configuration", Args: cobra.NoArgs, RunE: showHelp}
	for _, kind := range []string{"init", "join", "reset", "upgrade"} {
		var components []string
		sub := &cobra.Command{
			Use:   kind + "-defaults",
			Short: "Print default " + kind + " configuration, that can be used for 'kubeadm " + kind + "'",
			Args:  cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				objects, err := defaultDocuments(kind, components)
				if err != nil {
					return err
				}
				data, err := config.Encode(objects...)
				if err != nil {
					return err
				}
				fmt.Fprintf(env.Out, "%s", data)
				return nil
			},
		}
		if kind == "init" || kind == "join" {
			sub.Flags().StringSliceVar(&components, "component-configs", nil, fmt.Sprintf("A comma-separated list for component config API objects to print the default values for. Available values: [%s %s]. If this flag is not set, no component configs will be printed.", config.KindProxy, config.KindKubelet))
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// newConfigValidate reads a file the way the other commands do and reports its faults.
func newConfigValidate(env Env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Read a file containing the kubeadm configuration API and report any errors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			docs, err := config.ReadFile(file)
			if err == nil {
				err = validateAll(env, docs)
			}
			if err != nil {
				return invalid{err}
			}
			fmt.Fprintln(env.Out, "ok")
			return nil
		},
	}
	fileFlag(cmd, &file, "config", "Path to a kubeadm configuration file.")
	experimentalFlag(cmd)
	return cmd
}

// experimentalFlag is for scripts that allow versions of the configuration which are not released yet: there is none now.
func experimentalFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("allow-experimental-api", false, "Allow experimental, unreleased APIs. There are none: without effect.")
}

func fileFlag(cmd *cobra.Command, into *string, name, usage string) {
	cmd.Flags().StringVar(into, name, "", usage)
	if err := cmd.MarkFlagRequired(name); err != nil {
		panic(err) // the flag is defined in the line above
	}
}

// validateAll defaults and validates every document of a file.
func validateAll(env Env, docs *config.Documents) error {
	machine, err := env.machine()
	if err != nil {
		return err
	}
	var faults []error
	if c := docs.Init; c != nil {
		faults = append(faults, check(config.DefaultInit(c, machine), func() error { return config.Faults(config.KindInit, config.ValidateInit(c)) }))
	}
	if c := docs.Cluster; c != nil {
		faults = append(faults, check(config.DefaultCluster(c), func() error { return config.Faults(config.KindCluster, config.ValidateCluster(c)) }))
	}
	if c := docs.Join; c != nil {
		faults = append(faults, check(config.DefaultJoin(c, machine), func() error { return config.Faults(config.KindJoin, config.ValidateJoin(c)) }))
	}
	if c := docs.Reset; c != nil {
		config.DefaultReset(c, machine)
		faults = append(faults, config.Faults(config.KindReset, config.ValidateReset(c)))
	}
	if c := docs.Upgrade; c != nil {
		config.DefaultUpgrade(c)
		faults = append(faults, config.Faults(config.KindUpgrade, config.ValidateUpgrade(c)))
	}
	return errors.Join(faults...)
}

func check(defaulted error, validate func() error) error {
	if defaulted != nil {
		return defaulted
	}
	return validate()
}

func newConfigMigrate(env Env) *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Read an older version of the kubeadm configuration API types from a file, and output the similar config object for the newer version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			data, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			migrated, err := config.Migrate(data)
			if err != nil {
				return invalid{fmt.Errorf("--old-config %s: %w", from, err)}
			}
			if to == "" {
				fmt.Fprintf(env.Out, "%s", migrated)
				return nil
			}
			return certs.WriteFile(to, migrated, 0o600)
		},
	}
	fileFlag(cmd, &from, "old-config", "Path to the kubeadm config file that is using an old API version and should be converted. This flag is mandatory.")
	cmd.Flags().StringVar(&to, "new-config", "", "Path to the resulting equivalent kubeadm config file using the new API version. Optional, if not specified output will be sent to STDOUT.")
	experimentalFlag(cmd)
	return cmd
}

// imageFlags say which images are meant.
type imageFlags struct {
	file, repository, version, socket string
	gates                             gates
}

func (f *imageFlags) add(flags *pflag.FlagSet) {
	f.gates = gates{}
	flags.StringVar(&f.file, "config", "", "Path to a kubeadm configuration file.")
	flags.StringVar(&f.repository, "image-repository", config.DefaultImageRepository, "Choose a container registry to pull control plane images from")
	flags.StringVar(&f.version, "kubernetes-version", "stable-1", "Choose a specific Kubernetes version for the control plane.")
	flags.Var(f.gates, "feature-gates", "A set of key=value pairs that describe feature gates for various features.")
}

func (f *imageFlags) images(flags *pflag.FlagSet) ([]string, error) {
	if err := noMixing(flags, "cri-socket"); err != nil {
		return nil, err
	}
	c := &config.ClusterConfiguration{ImageRepository: f.repository, KubernetesVersion: f.version, FeatureGates: f.gates}
	if f.file != "" {
		docs, err := config.ReadFile(f.file)
		if err != nil {
			return nil, invalid{err}
		}
		if docs.Cluster == nil {
			docs.Cluster = &config.ClusterConfiguration{}
		}
		c = docs.Cluster
	}
	if err := config.DefaultCluster(c); err != nil {
		return nil, invalid{err}
	}
	if err := config.Faults(config.KindCluster, config.ValidateCluster(c)); err != nil {
		return nil, invalid{err}
	}
	return config.ImagesOf(c).List(), nil
}

func newConfigImages(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "images", Short: "Interact with container images used by kubeadm", Args: cobra.NoArgs, RunE: showHelp}
	listFlags, pullFlags := &imageFlags{}, &imageFlags{}
	var output outputFormat
	list := &cobra.Command{Use: "list", Short: "Print a list of images kubeadm will use. The configuration file is used in case any images or image repositories are customized", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			images, err := listFlags.images(cmd.Flags())
			if err != nil {
				return err
			}
			if output != "text" {
				return output.print(env.Out, map[string]any{"apiVersion": outputAPI, "kind": "Images", "images": images})
			}
			fmt.Fprintln(env.Out, strings.Join(images, "\n"))
			return nil
		}}
	listFlags.add(list.Flags())
	output.add(list.Flags())
	pull := &cobra.Command{Use: "pull", Short: "Pull images used by kubeadm", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			images, err := pullFlags.images(cmd.Flags())
			if err != nil {
				return err
			}
			return pullImages(cmd.Context(), env, pullFlags.socket, images)
		}}
	pullFlags.add(pull.Flags())
	pull.Flags().StringVar(&pullFlags.socket, "cri-socket", "", "Path to the CRI socket to connect. If empty kubeadm will try to auto-detect this value.")
	cmd.AddCommand(list, pull)
	return cmd
}

func pullImages(ctx context.Context, env Env, socket string, images []string) (err error) {
	if socket == "" {
		if socket, err = env.Host.CRISocket(); err != nil {
			return err
		}
	}
	runtime, err := host.DialRuntime(ctx, socket)
	if err != nil {
		return err
	}
	for _, image := range images {
		if present, err := runtime.HasImage(ctx, image); err == nil && present {
			fmt.Fprintf(env.Out, "[config/images] Present %s\n", image)
			continue
		}
		if err := runtime.PullImage(ctx, image); err != nil {
			return err
		}
		fmt.Fprintf(env.Out, "[config/images] Pulled %s\n", image)
	}
	return nil
}
