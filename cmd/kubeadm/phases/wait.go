package phases

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	healthPeriod  = 500 * time.Millisecond
	logTailBytes  = 4 << 10
	logTailLines  = 10
	kubeletHealth = 10248
)

// healthClient asks health endpoints on this machine. It checks no certificate: the answer is one bit, no credential is sent, and a
// scheduler serves with a certificate it signed itself.
func healthClient() *http.Client {
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// awaitHealthy asks url until it answers 200. It returns how long that took, or an error with the last answer.
func awaitHealthy(ctx context.Context, client *http.Client, url string, timeout time.Duration) (time.Duration, error) {
	start := time.Now()
	var last error
	err := wait.PollUntilContextTimeout(ctx, healthPeriod, timeout, true, func(ctx context.Context) (bool, error) {
		last = askHealth(ctx, client, url)
		return last == nil, nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s did not become healthy within %v: %w", url, timeout, last)
	}
	return time.Since(start), nil
}

func askHealth(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, logTailBytes))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d: %s", answer.StatusCode, failedChecks(text))
	}
	return nil
}

// failedChecks shortens a health answer to the lines of checks that failed.
func failedChecks(text []byte) string {
	var failed []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "[-]") {
			failed = append(failed, strings.TrimSpace(line))
		}
	}
	if len(failed) == 0 {
		return string(bytes.TrimSpace(text))
	}
	return strings.Join(failed, "; ")
}

// kubeletURL is where the kubelet of this node serves its health.
func (n *Node) kubeletURL() string {
	address, port := "127.0.0.1", int32(kubeletHealth)
	if n.KubeletCfg != nil {
		if n.KubeletCfg.HealthzBindAddress != "" {
			address = probeHost(n.KubeletCfg.HealthzBindAddress)
		}
		if n.KubeletCfg.HealthzPort != nil {
			port = *n.KubeletCfg.HealthzPort
		}
	}
	return "http://" + net.JoinHostPort(address, strconv.Itoa(int(port))) + "/healthz"
}

// WaitKubelet waits until the kubelet is healthy.
func (n *Node) WaitKubelet(ctx context.Context) error {
	if n.DryRun {
		n.say("dryrun", "Would wait for the kubelet")
		return nil
	}
	if n.KubeletCfg != nil && n.KubeletCfg.HealthzPort != nil && *n.KubeletCfg.HealthzPort == 0 {
		n.say("kubelet-check", "The kubelet serves no health endpoint (healthzPort: 0): not waiting for it")
		return nil
	}
	timeout := n.Timeouts.KubeletHealthCheck.Duration
	n.say("kubelet-check", "Waiting for a healthy kubelet at %s. This can take up to %v", n.kubeletURL(), timeout)
	took, err := awaitHealthy(ctx, healthClient(), n.kubeletURL(), timeout)
	if err != nil {
		return fmt.Errorf("the kubelet is not healthy: %w\n\tIts log tells why: `journalctl -xeu kubelet`, or the log of the supervisor that runs it", err)
	}
	n.say("kubelet-check", "The kubelet is healthy after %v", took.Round(time.Millisecond))
	return nil
}

// WaitControlPlane waits until every component of this node's control plane is healthy, all at the same time. The error names each
// that is not, with the log of its container.
func (n *Node) WaitControlPlane(ctx context.Context) error {
	if n.DryRun {
		n.say("dryrun", "Would wait for the control plane")
		return nil
	}
	timeout := n.Timeouts.ControlPlaneComponentHealthCheck.Duration
	n.say("control-plane-check", "Waiting for healthy control plane components. This can take up to %v", timeout)
	components := []string{APIServer, ControllerManager, Scheduler}
	faults := make([]error, len(components))
	var group sync.WaitGroup
	var lines sync.Mutex
	for i, name := range components {
		url, err := n.healthURL(name)
		if err != nil {
			return err
		}
		lines.Lock()
		n.say("control-plane-check", "Checking %s at %s", name, url)
		lines.Unlock()
		group.Add(1)
		go func() {
			defer group.Done()
			took, err := awaitHealthy(ctx, healthClient(), url, timeout)
			lines.Lock()
			defer lines.Unlock()
			if err != nil {
				faults[i] = err
				n.say("control-plane-check", "%s is not healthy after %v", name, timeout)
				return
			}
			n.say("control-plane-check", "%s is healthy after %v", name, took.Round(time.Millisecond))
		}()
	}
	group.Wait()
	var report strings.Builder
	for i, name := range components {
		if faults[i] != nil {
			fmt.Fprintf(&report, "\n\t%s: %v%s", name, faults[i], n.logOf(ctx, name))
		}
	}
	if report.Len() > 0 {
		if faults[0] != nil && n.Cluster.Etcd.Local != nil {
			report.WriteString("\n\t" + Etcd + ", which " + APIServer + " needs" + n.logOf(ctx, Etcd))
		}
		return fmt.Errorf("the control plane did not become healthy:%s", report.String())
	}
	return nil
}

// healthURL reads a component's health endpoint from its manifest, which may have been patched.
func (n *Node) healthURL(name string) (string, error) {
	pod, err := readPod(n.Manifest(name))
	if err != nil {
		return "", err
	}
	for _, container := range pod.Spec.Containers {
		if container.Name != name || container.LivenessProbe == nil || container.LivenessProbe.HTTPGet == nil {
			continue
		}
		get := container.LivenessProbe.HTTPGet
		port := get.Port.IntValue()
		for _, p := range container.Ports {
			if p.Name == get.Port.String() {
				port = int(p.ContainerPort)
			}
		}
		return fmt.Sprintf("%s://%s%s", strings.ToLower(string(get.Scheme)), net.JoinHostPort(get.Host, strconv.Itoa(port)), get.Path), nil
	}
	return "", fmt.Errorf("%s: container %s has no HTTP liveness probe", n.Manifest(name), name)
}

// logOf says where a component's log lies and what it ended with.
func (n *Node) logOf(ctx context.Context, name string) string {
	if n.Logs == nil {
		return ""
	}
	// The wait may have ended because ctx did; the log is still wanted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	logs, err := n.Logs(ctx)
	if err != nil {
		return "\n\t\tno log: " + err.Error()
	}
	path, running, err := logs.ContainerLog(ctx, name)
	switch {
	case err != nil:
		return "\n\t\tno log: " + err.Error()
	case path == "":
		return "\n\t\tno container was ever made: see the kubelet's log for " + ManifestsDir + "/" + name + ".yaml"
	}
	state := "its container is not running"
	if running {
		state = "its container is running"
	}
	return fmt.Sprintf("\n\t\t%s; log %s:%s", state, path, tail(path))
}

// tail returns the last lines of a log, indented.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return " " + err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTailBytes {
		if _, err := f.Seek(-logTailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "\n\t\t\t" + strings.Join(lines[max(0, len(lines)-logTailLines):], "\n\t\t\t")
}
