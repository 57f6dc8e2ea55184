package app

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// outputAPI is the version of the kinds that -o json and -o yaml print.
const outputAPI = "output.kubeadm.k8s.io/v1alpha3"

// outputFormat is the value of --output.
type outputFormat string

func (o *outputFormat) add(flags *pflag.FlagSet) {
	flags.StringVarP((*string)(o), "output", "o", "text", "Output format. One of: text|json|yaml.")
}

// check refuses formats that do not exist.
func (o outputFormat) check() error {
	switch o {
	case "text", "json", "yaml":
		return nil
	}
	return invalid{fmt.Errorf("invalid output format %q: use text, json or yaml", string(o))}
}

// print writes an object of the output API.
func (o outputFormat) print(out io.Writer, object any) error {
	data, err := json.MarshalIndent(object, "", "    ")
	if err == nil && o == "yaml" {
		data, err = yaml.JSONToYAML(data)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, string(data))
	return err
}
