package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// outputLimit bounds what of a probe's output is kept, in bytes.
const outputLimit = 10 << 10

// retries is how often an attempt that could not be run is repeated before it is given up.
const retries = 3

// answer is what one attempt gave.
type answer struct {
	outcome outcome
	warning bool // succeeded, with something a user should know
	output  string
}

func failed(format string, args ...any) (answer, error) {
	return answer{outcome: failure, output: fmt.Sprintf(format, args...)}, nil
}

// prober carries attempts out and tells the user of failures.
type prober struct {
	exec     func(ctx context.Context, containerID string, cmd []string, timeout time.Duration) ([]byte, int, error)
	recorder record.EventRecorder
	metrics  *probeMetrics
}

// probe runs one attempt. err: it could not be run at all.
func (p *prober) probe(ctx context.Context, w *worker, pod *v1.Pod, ip string) (outcome, error) {
	begun := time.Now()
	var a answer
	var err error
	for range retries {
		if a, err = p.once(ctx, w, pod, ip); err == nil || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return pending, ctx.Err()
	}
	p.metrics.count(w, pod, a, err, time.Since(begun))
	switch {
	case err != nil:
		p.event(pod, w, "Unhealthy", "%s probe errored and resulted in unknown state: %v", w.kind, err)
		return failure, err
	case a.outcome == failure:
		klog.FromContext(ctx).V(1).Info("Probe failed", "probeType", w.kind, "pod", klog.KObj(pod), "containerName", w.container.Name, "output", a.output)
		p.event(pod, w, "Unhealthy", "%s probe failed: %s", w.kind, a.output)
	case a.warning:
		p.event(pod, w, "ProbeWarning", "%s probe warning: %s", w.kind, a.output)
	}
	return a.outcome, nil
}

func (p *prober) event(pod *v1.Pod, w *worker, reason, format string, args ...any) {
	if p.recorder == nil {
		return
	}
	p.recorder.Eventf(containerReference(pod, w.container.Name), v1.EventTypeWarning, reason, format, args...)
}

// containerReference names a container of a pod as events do.
func containerReference(pod *v1.Pod, container string) *v1.ObjectReference {
	path := fmt.Sprintf("spec.containers{%s}", container)
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == container {
			path = fmt.Sprintf("spec.initContainers{%s}", container)
		}
	}
	return &v1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, FieldPath: path}
}

var errNoHandler = errors.New("the probe names no action")

func (p *prober) once(ctx context.Context, w *worker, pod *v1.Pod, ip string) (answer, error) {
	timeout := time.Duration(max(w.spec.TimeoutSeconds, 1)) * time.Second
	switch h := w.spec.ProbeHandler; {
	case h.Exec != nil:
		return p.execProbe(ctx, bareID(w.instance.id), w.container, h.Exec.Command, timeout)
	case h.HTTPGet != nil:
		return httpProbe(ctx, h.HTTPGet, w.container, ip, timeout)
	case h.TCPSocket != nil:
		port, err := portOf(h.TCPSocket.Port, w.container)
		if err != nil {
			return answer{}, err
		}
		return tcpProbe(ctx, net.JoinHostPort(hostOr(h.TCPSocket.Host, ip), strconv.Itoa(port)), timeout)
	case h.GRPC != nil:
		service := ""
		if h.GRPC.Service != nil {
			service = *h.GRPC.Service
		}
		return grpcProbe(ctx, net.JoinHostPort(ip, strconv.Itoa(int(h.GRPC.Port))), service, timeout)
	}
	return answer{}, errNoHandler
}

func hostOr(host, ip string) string {
	if host != "" {
		return host
	}
	return ip
}

// portOf resolves a port by number or by the name that the container gives it.
func portOf(p intstr.IntOrString, c *v1.Container) (int, error) {
	port := p.IntValue()
	if p.Type == intstr.String {
		port = 0
		for _, named := range c.Ports {
			if named.Name == p.StrVal {
				port = int(named.ContainerPort)
			}
		}
		if port == 0 {
			number, err := strconv.Atoi(p.StrVal)
			if err != nil {
				return 0, fmt.Errorf("couldn't find port: container %s has no port named %q", c.Name, p.StrVal)
			}
			port = number
		}
	}
	if port <= 0 || port > 65535 {
		return 0, fmt.Errorf("invalid port number: %v", port)
	}
	return port, nil
}
