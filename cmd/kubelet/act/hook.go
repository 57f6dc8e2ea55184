package act

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"pilotis.dev/cmd/kubelet/fields"
)

// runHook runs a lifecycle handler and waits for it.
func (a *Actor) runHook(ctx context.Context, pod fields.Pod, c *v1.Container, id string, h *v1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		out, errOut, err := a.Runtime.ExecSync(ctx, id, h.Exec.Command, 0)
		if err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)+string(errOut)))
		}
		return nil
	case h.HTTPGet != nil:
		return a.httpHook(ctx, pod, c, h.HTTPGet)
	case h.Sleep != nil:
		select {
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case h.TCPSocket != nil:
		return fmt.Errorf("lifecycle handlers of type tcpSocket are not supported by the API")
	}
	return fmt.Errorf("lifecycle handler names no action")
}

func (a *Actor) httpHook(ctx context.Context, pod fields.Pod, c *v1.Container, get *v1.HTTPGetAction) error {
	host := get.Host
	if host == "" {
		if len(pod.PodIPs) == 0 {
			return fmt.Errorf("the pod has no address yet")
		}
		host = pod.PodIPs[0]
	}
	port, err := portNumber(get.Port, c)
	if err != nil {
		return err
	}
	scheme := "http"
	if get.Scheme == v1.URISchemeHTTPS {
		scheme = "https"
	}
	path, err := url.Parse(get.Path)
	if err != nil {
		return err
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(port)), Path: "/" + strings.TrimPrefix(path.Path, "/"), RawQuery: path.RawQuery}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	for _, h := range get.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: insecureTransport()}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 10*1024))
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return nil
}

// portNumber resolves a port that may be a name of the container's.
func portNumber(p intstr.IntOrString, c *v1.Container) (int, error) {
	if p.Type == intstr.Int {
		return p.IntValue(), nil
	}
	for _, port := range c.Ports {
		if port.Name == p.StrVal {
			return int(port.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(p.StrVal); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("container %s has no port named %q", c.Name, p.StrVal)
}
