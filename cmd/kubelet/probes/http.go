package probes

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-base/version"
)

// maxRedirects on the same host, as Go's client has it.
const maxRedirects = 10

// newDialer dials without keep-alive: a probe's connection is used once.
func newDialer() *net.Dialer { return &net.Dialer{KeepAlive: -1} }

// httpProbe succeeds with a status from 200 to 399. It follows redirects on the same host only; to another host it is a
// success with a warning, so that a container cannot send the kubelet anywhere.
func httpProbe(ctx context.Context, get *v1.HTTPGetAction, c *v1.Container, ip string, timeout time.Duration) (answer, error) {
	req, err := Request(ctx, get, c, ip, "kube-probe")
	if err != nil {
		return answer{}, err
	}
	transport := &http.Transport{
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, // probes do not check certificates (API doc of scheme)
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext:        newDialer().DialContext,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: timeout, CheckRedirect: SameHostOnly}
	resp, err := client.Do(req)
	if err != nil {
		return failed("%v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, outputLimit))
	if err != nil {
		return failed("%v", err)
	}
	switch code := resp.StatusCode; {
	case code < http.StatusOK || code >= http.StatusBadRequest:
		return failed("HTTP probe failed with statuscode: %d", code)
	case code >= http.StatusMultipleChoices:
		return answer{outcome: success, warning: true, output: "Probe terminated redirects, Response body: " + string(body)}, nil
	}
	return answer{outcome: success, output: string(body)}, nil
}

// SameHostOnly is a client's CheckRedirect: an answer that leads to another host is the last one.
func SameHostOnly(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// Request is what a probe or hook of the container asks of its pod, in the name of agent.
func Request(ctx context.Context, get *v1.HTTPGetAction, c *v1.Container, ip, agent string) (*http.Request, error) {
	port, err := portOf(get.Port, c)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(get.Path)
	if err != nil {
		u = &url.URL{Path: get.Path}
	}
	scheme := strings.ToLower(string(get.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	if u.Path != "" && !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	target := url.URL{Scheme: scheme, Host: net.JoinHostPort(hostOr(get.Host, ip), strconv.Itoa(port)), Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range get.HTTPHeaders {
		req.Header[http.CanonicalHeaderKey(h.Name)] = append(req.Header[http.CanonicalHeaderKey(h.Name)], h.Value)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	defaultHeader(req.Header, "User-Agent", agent+"/"+version.Get().Major+"."+version.Get().Minor)
	defaultHeader(req.Header, "Accept", "*/*")
	return req, nil
}

// defaultHeader sets a header that the user did not; a header set to nothing is not sent.
func defaultHeader(h http.Header, name, value string) {
	if _, set := h[name]; !set {
		h.Set(name, value)
	} else if h.Get(name) == "" && name == "Accept" {
		h.Del(name)
	}
}
