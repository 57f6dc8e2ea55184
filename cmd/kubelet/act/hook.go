package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/probes"
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

// httpHook asks the container. That it answers is all that counts.
func (a *Actor) httpHook(ctx context.Context, pod fields.Pod, c *v1.Container, get *v1.HTTPGetAction) error {
	ip := ""
	if len(pod.PodIPs) > 0 {
		ip = pod.PodIPs[0]
	}
	if ip == "" && get.Host == "" {
		return errors.New("the pod has no address yet")
	}
	req, err := probes.Request(ctx, get, c, ip, "kube-lifecycle")
	if err != nil {
		return err
	}
	err = send(req)
	if !errors.Is(err, http.ErrSchemeMismatch) {
		return err
	}
	// Hooks of the scheme HTTPS were once asked in HTTP: containers that rely on it go on.
	plain := req.Clone(ctx)
	plain.URL.Scheme = "http"
	plain.Header.Del("Authorization")
	if send(plain) != nil {
		return err
	}
	a.Recorder.Eventf(pod.Pod, v1.EventTypeWarning, "LifecycleHTTPFallback", "request to HTTPS lifecycle hook %s got HTTP response, retry with HTTP succeeded", req.URL.Host)
	return nil
}

func send(req *http.Request) error {
	client := &http.Client{CheckRedirect: probes.SameHostOnly, Transport: insecureTransport()}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 10*1024))
	return nil
}
