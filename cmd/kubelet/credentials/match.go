package credentials

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// pattern tells images by their registry and path, as matchImages and a plugin's answer write them: registry.io:8080/path, with *
// for (parts of) the registry's labels.
type pattern struct {
	labels []string
	port   string
	path   string
}

func parsePattern(s string) (pattern, error) {
	host, rest := splitImage(strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://"))
	name, port, _ := strings.Cut(host, ":")
	p := pattern{strings.Split(name, "."), port, strings.Trim(rest, "/")}
	if name == "" {
		return p, errors.New("it names no registry")
	}
	if strings.Contains(port+p.path, "*") {
		return p, errors.New("* stands for labels of the registry's name alone, not in its port or path")
	}
	for _, label := range p.labels {
		if _, err := path.Match(label, ""); err != nil {
			return p, fmt.Errorf("%q: %w", label, err)
		}
	}
	return p, nil
}

// matches reports whether the image, of repository's form, is one of the pattern's: the same number of labels, each matching, the
// pattern's port if it has one, and its path as the beginning of the image's.
func (p pattern) matches(image string) bool {
	host, rest := splitImage(image)
	name, port, _ := strings.Cut(host, ":")
	labels := strings.Split(name, ".")
	if len(labels) != len(p.labels) || (p.port != "" && p.port != port) || !strings.HasPrefix(rest, p.path) {
		return false
	}
	for i, label := range p.labels {
		if ok, err := path.Match(label, labels[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// Serves reports whether a registry, as a pull secret writes it (Docker's configuration), serves the image. It may be the address of
// the registry's API, and means no port but its own.
func Serves(registry, image string) bool {
	host, rest := splitImage(strings.TrimPrefix(strings.TrimPrefix(registry, "https://"), "http://"))
	if host == "index.docker.io" {
		host = "docker.io"
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "v1/"), "v2/")
	p, err := parsePattern(host + "/" + rest)
	if err != nil {
		return false
	}
	image = repository(image)
	host, rest = splitImage(image)
	_, port, _ := strings.Cut(host, ":")
	return p.matches(image) && p.port == port && (p.path == "" || strings.HasPrefix(rest+"/", p.path+"/"))
}

func splitImage(s string) (host, rest string) {
	host, rest, _ = strings.Cut(s, "/")
	return host, rest
}

// repository is an image without tag and digest, and with the registry that a short name means.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	host, rest, ok := strings.Cut(image, "/")
	switch {
	case !ok:
		return "docker.io/library/" + image
	case host == "index.docker.io":
		return "docker.io/" + rest
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return "docker.io/" + image
	}
	return image
}
