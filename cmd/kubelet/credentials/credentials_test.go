package credentials

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes this test program a plugin when it is called as one: it notes each request and answers as it is told.
func TestMain(m *testing.M) {
	if answer, ok := os.LookupEnv("PLUGIN_ANSWER"); ok {
		os.Exit(plug(answer))
	}
	os.Exit(m.Run())
}

func plug(answer string) int {
	request, err := os.ReadFile("/dev/stdin")
	if err == nil {
		var log *os.File
		if log, err = os.OpenFile(os.Getenv("PLUGIN_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_, err = fmt.Fprintln(log, strings.Join(os.Args[1:], " "), string(request))
		}
	}
	if err != nil || answer == "fail" {
		fmt.Fprintln(os.Stderr, "no luck today", err)
		return 3
	}
	fmt.Println(answer)
	return 0
}

const response = `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":%q,%s"auth":{%s}}`

// install writes a configuration with one plugin, this program under another name, and gives how often it was asked.
func install(t *testing.T, answer string) (p *Providers, asked func() []string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, filepath.Join(dir, "plugin")); err != nil {
		program, err := os.ReadFile(self) // on another filesystem
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "plugin"), program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "log")
	config := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: plugin
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["*.registry.example", "registry.example:5000/team"]
  defaultCacheDuration: 1h
  args: [get]
  env:
  - {name: PLUGIN_LOG, value: %s}
  - {name: PLUGIN_ANSWER, value: '%s'}
`, log, answer)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err = Load(file, dir); err != nil {
		t.Fatal(err)
	}
	return p, func() []string {
		data, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

func TestPluginsGiveCredentials(t *testing.T) {
	p, asked := install(t, fmt.Sprintf(response, "Registry", "", `"*.registry.example":{"username":"any","password":"1"},"a.registry.example/team":{"username":"team","password":"2"},"other.example":{"username":"x","password":"3"}`))
	users := func(image string) string {
		var names []string
		for _, a := range p.For(t.Context(), image) {
			names = append(names, a.Username+":"+a.Password)
		}
		return strings.Join(names, " ")
	}
	if got := users("a.registry.example/team/app:v1"); got != "team:2 any:1" {
		t.Errorf("for the team's image: %s", got)
	}
	if got := users("a.registry.example/other@sha256:0123"); got != "any:1" {
		t.Errorf("for another image: %s", got)
	}
	if got := asked(); len(got) != 1 || got[0] != `get {"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"a.registry.example/team/app"}` {
		t.Errorf("one registry: asked %q", got)
	}
	users("b.registry.example/app")
	if got := asked(); len(got) != 2 {
		t.Errorf("another registry: asked %q", got)
	}
	if got := users("nginx"); got != "" || len(asked()) != 2 {
		t.Errorf("an image of no plugin: %q, asked %q", got, asked())
	}
}

func TestCaching(t *testing.T) {
	for _, tt := range []struct {
		kind, duration string
		want           int // questions for two images of two registries, twice
	}{
		{"Image", "", 3}, {"Registry", "", 2}, {"Global", "", 1}, {"Global", `"cacheDuration":"0s",`, 6},
	} {
		p, asked := install(t, fmt.Sprintf(response, tt.kind, tt.duration, `"*.registry.example":{}`))
		for range 2 {
			for _, image := range []string{"a.registry.example/x:1", "a.registry.example/y", "b.registry.example/x"} {
				p.For(t.Context(), image)
			}
		}
		if got := len(asked()); got != tt.want {
			t.Errorf("%s %s: asked %d times, want %d", tt.kind, tt.duration, got, tt.want)
		}
	}
}

func TestPluginsThatFailGiveNothing(t *testing.T) {
	for _, answer := range []string{"fail", "secret", "{}", fmt.Sprintf(response, "Planet", "", "")} {
		p, asked := install(t, answer)
		_, err := p.plugins[0].credentials(t.Context(), "a.registry.example/x")
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", answer, err)
		}
		if got := p.For(t.Context(), "a.registry.example/x"); len(got) > 0 || len(asked()) != 2 {
			t.Errorf("%s: got %v, asked %q", answer, got, asked())
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, image string
		want           bool
	}{
		{"gcr.io", "gcr.io/project/app", true},
		{"gcr.io", "eu.gcr.io/project/app", false},
		{"*.io", "k8s.io/app", true},
		{"*.io", "registry.k8s.io/app", false},
		{"app*.k8s.io", "app7.k8s.io/x", true},
		{"k8s.*", "k8s.io/x", true},
		{"registry.io:8080/path", "registry.io:8080/path/app", true},
		{"registry.io:8080/path", "registry.io/path/app", false},
		{"registry.io/path", "registry.io/other", false},
		{"docker.io/library", "nginx:1", true},
		{"docker.io", "team/app@sha256:1", true},
	} {
		p, err := parsePattern(tt.pattern)
		if err != nil || p.matches(repository(tt.image)) != tt.want {
			t.Errorf("%s and %s: %v, want %v (%v)", tt.pattern, tt.image, !tt.want, tt.want, err)
		}
	}
}

func TestFaultsOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plugin"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	const head, good = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n", "apiVersion: credentialprovider.kubelet.k8s.io/v1, matchImages: [a.io], defaultCacheDuration: 1s"
	for _, tt := range []struct{ content, want string }{
		{head + "- {name: plugin, " + good + "}\n", ""},
		{"apiVersion: v1\nkind: Pod\n", "expected CredentialProviderConfig"},
		{head, "providers: Required"},
		{head + "- {name: absent, " + good + "}\n", "absent of provider absent is no program"},
		{head + "- {name: ../plugin, " + good + "}\n", "providers[0].name: Invalid"},
		{head + "- {name: plugin, " + good + "}\n- {name: plugin, " + good + "}\n", "providers[1].name: Invalid"},
		{head + "- {name: plugin}\n", "providers[0].matchImages: Required"},
		{head + "- {name: plugin, " + good + ", tokenAttributes: {serviceAccountTokenAudience: x, requireServiceAccount: true, cacheType: Token}}\n", "providers[0].tokenAttributes: Forbidden"},
		{head + "- {name: plugin, " + strings.Replace(good, "a.io", "a.io/*", 1) + "}\n", "providers[0].matchImages[0]: Invalid"},
		{head + "- {name: plugin, argz: [], " + good + "}\n", `unknown field "providers[0].argz"`},
	} {
		file := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file, dir); (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s\ngot %v, want %q", tt.content, err, tt.want)
		}
	}
}

func TestServes(t *testing.T) {
	for _, tt := range []struct {
		registry, image string
		want            bool
	}{
		{"registry.example.com", "registry.example.com/a:1", true}, {"https://registry.example.com", "registry.example.com/a/b", true},
		{"registry.example.com/a", "registry.example.com/a/b", true}, {"registry.example.com/a", "registry.example.com/ab", false},
		{"https://registry.example.com/v1/", "registry.example.com/a", true}, {"https://registry.example.com/v2/", "registry.example.com/a", true},
		{"registry.example.com/v2/team", "registry.example.com/team/a", true},
		{"example.com", "registry.example.com/a", false}, {"registry.example.com", "registry.example.com.evil.org/a", false},
		{"https://index.docker.io/v1/", "web", true}, {"https://index.docker.io/v1/", "team/web", true}, {"https://index.docker.io/v1/", "docker.io/team/web:1", true},
		{"https://index.docker.io/v1/", "index.docker.io/team/web", true}, {"docker.io", "web", true}, {"docker.io/team", "team/web", true}, {"docker.io/team", "web", false},
		{"*.reg.example", "eu.reg.example/a", true}, {"*.reg.example", "reg.example/a", false}, {"r*.example", "reg.example/a", true},
		{"registry.example.com", "registry.example.com:5000/a", false}, {"registry.example.com:5000", "registry.example.com:5000/a:1", true},
		{"localhost", "localhost/a", true}, {"docker.io", "localhost/a", false}, {"", "web", false},
	} {
		if got := Serves(tt.registry, tt.image); got != tt.want {
			t.Errorf("%s for %s: %v, want %v", tt.registry, tt.image, got, tt.want)
		}
	}
}
