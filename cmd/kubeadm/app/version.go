package app

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	componentversion "k8s.io/component-base/version"
	"pilotis.dev/cmd/kubeadm/config"
	"sigs.k8s.io/yaml"
)

func newVersion(env Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of kubeadm",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info := componentversion.Get()
			info.GitVersion = config.Release()
			return printVersion(env, output, info)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "Output format; available options are 'yaml', 'json' and 'short'")
	return cmd
}

func printVersion(env Env, output string, info apimachineryversion.Info) error {
	client := map[string]any{"clientVersion": info}
	switch output {
	case "":
		fmt.Fprintf(env.Out, "kubeadm version: %#v\n", info)
	case "short":
		fmt.Fprintln(env.Out, info.GitVersion)
	case "yaml":
		data, err := yaml.Marshal(client)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Out, "%s", data)
	case "json":
		data, err := json.MarshalIndent(client, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Out, "%s\n", data)
	default:
		return invalid{fmt.Errorf("invalid output format: %s: use yaml, json or short", output)}
	}
	return nil
}
