package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// overridesSection is the help section of flags that stand for fields of the file.
const overridesSection = "overrides of --config"

// load reads --config and merges the files of --config-dir over it.
func (o *Options) load(c *kubeletconfig.KubeletConfiguration) error {
	logsapi.SetRecommendedLoggingConfiguration(&c.Logging)
	if o.File != "" {
		if err := readFile(o.File, c); err != nil {
			return fmt.Errorf("--config %s: %w", o.File, err)
		}
		inFolderOf(o.File, c)
	}
	if o.DropInDir == "" {
		return nil
	}
	var files []string
	err := filepath.WalkDir(o.DropInDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".conf" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("--config-dir %s: %w", o.DropInDir, err)
	}
	sort.Strings(files)
	for _, f := range files {
		if err := readFile(f, c); err != nil {
			return fmt.Errorf("--config-dir: %s: %w", f, err)
		}
		inFolderOf(f, c)
	}
	return nil
}

// readFile decodes a file over what c has: maps are merged, lists and single values replaced.
func readFile(path string, c *kubeletconfig.KubeletConfiguration) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return decode(data, c)
}

// decode is strict: an unknown or repeated field is an error that names it.
func decode(data []byte, c *kubeletconfig.KubeletConfiguration) error {
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return err
	}
	var kind metav1.TypeMeta
	if _, err := kjson.UnmarshalStrict(asJSON, &kind); err != nil {
		return err
	}
	if kind.APIVersion != kubeletconfig.SchemeGroupVersion.String() || kind.Kind != "KubeletConfiguration" {
		return fmt.Errorf("it holds kind %q of apiVersion %q: expected KubeletConfiguration of %s", kind.Kind, kind.APIVersion, kubeletconfig.SchemeGroupVersion)
	}
	faults, err := kjson.UnmarshalStrict(asJSON, c)
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}

// inFolderOf makes the paths of a file relative to its folder, as the reference says.
func inFolderOf(file string, c *kubeletconfig.KubeletConfiguration) {
	dir := filepath.Dir(file)
	for _, p := range []*string{&c.StaticPodPath, &c.Authentication.X509.ClientCAFile, &c.TLSCertFile, &c.TLSPrivateKeyFile} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if p := c.ResolverConfig; p != nil && *p != "" && !filepath.IsAbs(*p) {
		path := filepath.Join(dir, *p)
		c.ResolverConfig = &path
	}
}

// applyFlags carries the flags that were given over to c: they win over files.
func (o *Options) applyFlags(c *kubeletconfig.KubeletConfiguration) error {
	if o.flags == nil {
		return nil
	}
	target := pflag.NewFlagSet("", pflag.ContinueOnError)
	bind(target, c)
	logsapi.AddFlags(&c.Logging, target)
	var errs []error
	for _, section := range []string{overridesSection, "logs"} {
		o.flags.FlagSet(section).VisitAll(func(f *pflag.Flag) {
			into := target.Lookup(f.Name)
			if !f.Changed || into == nil {
				return
			}
			var err error
			if list, ok := f.Value.(pflag.SliceValue); ok {
				err = into.Value.(pflag.SliceValue).Replace(list.GetSlice())
			} else {
				err = into.Value.Set(f.Value.String())
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("--%s: %w", f.Name, err))
			}
		})
	}
	return errors.Join(errs...)
}
