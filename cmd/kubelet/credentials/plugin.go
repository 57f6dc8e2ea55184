package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1"
	api "k8s.io/kubelet/pkg/apis/credentialprovider/v1"
)

// timeout bounds one run of a plugin.
const timeout = time.Minute

// Providers are the plugins in their order.
type Providers struct{ plugins []*plugin }

// For gives the credentials for an image, the likeliest first. A plugin that fails is told in the log: the image may be pulled
// with what the others say, or without.
func (p *Providers) For(ctx context.Context, image string) []*runtimeapi.AuthConfig {
	image = repository(image)
	var found []*runtimeapi.AuthConfig
	for _, plugin := range p.plugins {
		if !plugin.serves(image) {
			continue
		}
		auths, err := plugin.credentials(ctx, image)
		if err != nil {
			klog.FromContext(ctx).Error(err, "A credential provider failed, going on without", "provider", plugin.config.Name, "image", image)
			continue
		}
		found = append(found, choose(auths, image)...)
	}
	return found
}

// choose takes the entries that match the image: longer names before shorter ones with the same beginning, names before patterns.
func choose(auths map[string]api.AuthConfig, image string) []*runtimeapi.AuthConfig {
	var names []string
	for name := range auths {
		if p, err := parsePattern(name); err == nil && p.matches(image) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	var out []*runtimeapi.AuthConfig
	for _, name := range names {
		out = append(out, &runtimeapi.AuthConfig{Username: auths[name].Username, Password: auths[name].Password})
	}
	return out
}

// plugin is one program and what it said lately.
type plugin struct {
	program string
	config  kubeletconfig.CredentialProvider
	images  []pattern

	mu    sync.Mutex // held while the program runs: pods that start together ask once
	cache map[string]answer
}

type answer struct {
	auths   map[string]api.AuthConfig
	expires time.Time
}

func newPlugin(program string, c kubeletconfig.CredentialProvider) *plugin {
	p := &plugin{program: program, config: c, cache: map[string]answer{}}
	for _, m := range c.MatchImages {
		if parsed, err := parsePattern(m); err == nil { // validated
			p.images = append(p.images, parsed)
		}
	}
	return p
}

func (p *plugin) serves(image string) bool {
	return slices.ContainsFunc(p.images, func(m pattern) bool { return m.matches(image) })
}

// Keys of the cache, from the narrowest to the widest: the image, its registry, all that the plugin serves.
func keys(image string) map[api.PluginCacheKeyType]string {
	registry, _ := splitImage(image)
	return map[api.PluginCacheKeyType]string{api.ImagePluginCacheKeyType: "image " + image, api.RegistryPluginCacheKeyType: "registry " + registry, api.GlobalPluginCacheKeyType: "global"}
}

func (p *plugin) credentials(ctx context.Context, image string) (map[string]api.AuthConfig, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for key, a := range p.cache {
		if !now.Before(a.expires) {
			delete(p.cache, key)
		}
	}
	kinds := keys(image)
	for _, kind := range []api.PluginCacheKeyType{api.ImagePluginCacheKeyType, api.RegistryPluginCacheKeyType, api.GlobalPluginCacheKeyType} {
		if a, ok := p.cache[kinds[kind]]; ok {
			return a.auths, nil
		}
	}
	response, err := p.ask(ctx, image)
	if err != nil {
		return nil, err
	}
	key, ok := kinds[response.CacheKeyType]
	if !ok {
		return nil, fmt.Errorf("cacheKeyType: Unsupported value: %q: supported values: \"Image\", \"Registry\", \"Global\"", response.CacheKeyType)
	}
	keep := p.config.DefaultCacheDuration.Duration
	if response.CacheDuration != nil {
		keep = response.CacheDuration.Duration
	}
	if keep > 0 {
		p.cache[key] = answer{response.Auth, now.Add(keep)}
	}
	return response.Auth, nil
}

// ask runs the program: the request on its standard input, the answer on its standard output, which is never logged.
func (p *plugin) ask(ctx context.Context, image string) (*api.CredentialProviderResponse, error) {
	request, err := json.Marshal(api.CredentialProviderRequest{TypeMeta: metav1.TypeMeta{APIVersion: p.config.APIVersion, Kind: "CredentialProviderRequest"}, Image: image})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, p.program, p.config.Args...)
	cmd.Dir = filepath.Dir(p.program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &stdout, &stderr
	cmd.WaitDelay = time.Second // for a child of the program that keeps its output open
	cmd.Env = os.Environ()
	for _, e := range p.config.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", p.program, errors.Join(ctx.Err(), err), strings.TrimSpace(stderr.String()))
	}
	response := &api.CredentialProviderResponse{}
	if err := json.Unmarshal(stdout.Bytes(), response); err != nil {
		return nil, fmt.Errorf("%s: what it printed is no CredentialProviderResponse", p.program)
	}
	if response.Kind != "CredentialProviderResponse" || response.APIVersion != p.config.APIVersion {
		return nil, fmt.Errorf("%s: it answered with kind %q of apiVersion %q: expected CredentialProviderResponse of %s", p.program, response.Kind, response.APIVersion, p.config.APIVersion)
	}
	return response, nil
}
