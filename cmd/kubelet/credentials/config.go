// Package credentials asks plugins for credentials of image registries (KEP-2133; the kinds CredentialProviderConfig of
// kubelet.config.k8s.io and CredentialProviderRequest and Response of credentialprovider.kubelet.k8s.io).
package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeletconfig "k8s.io/kubelet/config/v1"
	api "k8s.io/kubelet/pkg/apis/credentialprovider/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Load reads --image-credential-provider-config, a file or a folder of them in the order of their names. programs is
// --image-credential-provider-bin-dir. Errors name the file and the field.
func Load(config, programs string) (*Providers, error) {
	files, err := configFiles(config)
	if err != nil {
		return nil, fmt.Errorf("--image-credential-provider-config: %w", err)
	}
	p := &Providers{}
	seen := map[string]string{}
	for _, file := range files {
		c, err := read(file)
		if err != nil {
			return nil, fmt.Errorf("--image-credential-provider-config %s: %w", file, err)
		}
		for i, provider := range c.Providers {
			path := field.NewPath("providers").Index(i)
			errs := validate(provider, path)
			if other, twice := seen[provider.Name]; twice {
				errs = append(errs, field.Invalid(path.Child("name"), provider.Name, "is a provider of "+other+" already"))
			}
			seen[provider.Name] = file
			if err := errs.ToAggregate(); err != nil {
				return nil, fmt.Errorf("--image-credential-provider-config %s: %w", file, err)
			}
			program := filepath.Join(programs, provider.Name)
			if info, err := os.Stat(program); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
				return nil, fmt.Errorf("--image-credential-provider-bin-dir %s: %s of provider %s is no program: %w", programs, program, provider.Name, errors.Join(err, fs.ErrInvalid))
			}
			p.plugins = append(p.plugins, newPlugin(program, provider))
		}
	}
	return p, nil
}

func configFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no .json, .yaml or .yml file", path)
	}
	return files, nil
}

// read decodes strictly. The versions differ in nothing that is read here.
func read(file string) (*kubeletconfig.CredentialProviderConfig, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	c := &kubeletconfig.CredentialProviderConfig{}
	faults, err := kjson.UnmarshalStrict(asJSON, c)
	if err = errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	version, _ := strings.CutPrefix(c.APIVersion, kubeletconfig.GroupName+"/")
	if c.Kind != "CredentialProviderConfig" || !slices.Contains([]string{"v1", "v1beta1", "v1alpha1"}, version) {
		return nil, fmt.Errorf("it holds kind %q of apiVersion %q: expected CredentialProviderConfig of %s", c.Kind, c.APIVersion, kubeletconfig.SchemeGroupVersion)
	}
	if len(c.Providers) == 0 {
		return nil, field.Required(field.NewPath("providers"), "at least 1 item in plugins is required")
	}
	return c, nil
}

func validate(p kubeletconfig.CredentialProvider, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case p.Name == "":
		errs = append(errs, field.Required(path.Child("name"), ""))
	case p.Name == "." || p.Name == ".." || strings.ContainsAny(p.Name, "/ "):
		errs = append(errs, field.Invalid(path.Child("name"), p.Name, "must be the name of a program: without / and spaces, not . and not .."))
	}
	if len(p.MatchImages) == 0 {
		errs = append(errs, field.Required(path.Child("matchImages"), "at least 1 item in matchImages is required"))
	}
	for i, m := range p.MatchImages {
		if _, err := parsePattern(m); err != nil {
			errs = append(errs, field.Invalid(path.Child("matchImages").Index(i), m, err.Error()))
		}
	}
	switch d := p.DefaultCacheDuration; {
	case d == nil:
		errs = append(errs, field.Required(path.Child("defaultCacheDuration"), ""))
	case d.Duration < 0:
		errs = append(errs, field.Invalid(path.Child("defaultCacheDuration"), d.Duration.String(), "must be greater than or equal to 0"))
	}
	if versions := []string{api.GroupName + "/v1", api.GroupName + "/v1beta1", api.GroupName + "/v1alpha1"}; !slices.Contains(versions, p.APIVersion) {
		errs = append(errs, field.NotSupported(path.Child("apiVersion"), p.APIVersion, versions))
	}
	for i, e := range p.Env {
		for _, fault := range validation.IsEnvVarName(e.Name) {
			errs = append(errs, field.Invalid(path.Child("env").Index(i).Child("name"), e.Name, fault))
		}
	}
	if p.TokenAttributes != nil {
		errs = append(errs, field.Forbidden(path.Child("tokenAttributes"), "this kubelet hands plugins no service account tokens"))
	}
	return errs
}
