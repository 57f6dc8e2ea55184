package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func probesOf(f *faults, ctr *corev1.Container, c *podContext, p *field.Path) {
	if ctr.LivenessProbe != nil {
		probe(f, ctr.LivenessProbe, p.Child("livenessProbe"))
		onlyOnce(f, ctr.LivenessProbe, p, "livenessProbe")
	}
	if ctr.ReadinessProbe != nil {
		probe(f, ctr.ReadinessProbe, p.Child("readinessProbe"))
		if s := ctr.ReadinessProbe.TerminationGracePeriodSeconds; s != nil {
			f.invalid(p.Child("readinessProbe"), "terminationGracePeriodSeconds", *s, "must not be set for readinessProbes")
		}
	}
	if ctr.StartupProbe != nil {
		probe(f, ctr.StartupProbe, p.Child("startupProbe"))
		onlyOnce(f, ctr.StartupProbe, p, "startupProbe")
	}
}

func onlyOnce(f *faults, pr *corev1.Probe, p *field.Path, name string) {
	if pr.SuccessThreshold != 1 {
		f.invalid(p.Child(name), "successThreshold", pr.SuccessThreshold, "must be 1")
	}
}

func probe(f *faults, pr *corev1.Probe, p *field.Path) {
	one := choice{f: f, path: p, noun: "handler type"}
	if pr.Exec != nil && one.first("exec") {
		execAction(f, pr.Exec, p.Child("exec"))
	}
	if pr.HTTPGet != nil && one.first("httpGet") {
		httpGetAction(f, pr.HTTPGet, p.Child("httpGet"))
	}
	if pr.TCPSocket != nil && one.first("tcpSocket") {
		portOrName(f, pr.TCPSocket.Port, p.Child("tcpSocket"), "port")
	}
	if pr.GRPC != nil && one.first("grpc") {
		portNumber(f, p.Child("grpc"), "port", pr.GRPC.Port)
		oneOfPtr(f, p.Child("grpc"), "mode", pr.GRPC.Mode, corev1.GRPCProbeModePlaintext, corev1.GRPCProbeModeTLS)
	}
	one.done()
	f.notNegative(p, "initialDelaySeconds", int64(pr.InitialDelaySeconds))
	f.notNegative(p, "timeoutSeconds", int64(pr.TimeoutSeconds))
	f.notNegative(p, "periodSeconds", int64(pr.PeriodSeconds))
	f.notNegative(p, "successThreshold", int64(pr.SuccessThreshold))
	f.notNegative(p, "failureThreshold", int64(pr.FailureThreshold))
	if s := pr.TerminationGracePeriodSeconds; s != nil && *s <= 0 {
		f.invalid(p, "terminationGracePeriodSeconds", *s, "must be greater than 0")
	}
}

func execAction(f *faults, a *corev1.ExecAction, p *field.Path) {
	if len(a.Command) == 0 {
		f.required(p, "command", "")
	}
}

func httpGetAction(f *faults, a *corev1.HTTPGetAction, p *field.Path) {
	f.present(p, "path", a.Path)
	portOrName(f, a.Port, p, "port")
	oneOf(f, p, "scheme", a.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	oneOfPtr(f, p, "protocol", a.Protocol, corev1.HTTPProtocolHTTP1, corev1.HTTPProtocolHTTP2)
	for _, h := range a.HTTPHeaders {
		f.messages(p, "httpHeaders", h.Name, validation.IsHTTPHeaderName(h.Name))
	}
}

func lifecycle(f *faults, l *corev1.Lifecycle, c *podContext, p *field.Path) {
	if l == nil {
		return
	}
	p = p.Child("lifecycle")
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if s := c.spec.TerminationGracePeriodSeconds; s != nil {
		grace = *s
	}
	if l.PostStart != nil {
		lifecycleHandler(f, l.PostStart, grace, p.Child("postStart"))
	}
	if l.PreStop != nil {
		lifecycleHandler(f, l.PreStop, grace, p.Child("preStop"))
	}
	if l.StopSignal != nil {
		stopSignal(f, *l.StopSignal, c, p)
	}
}

func lifecycleHandler(f *faults, h *corev1.LifecycleHandler, grace int64, p *field.Path) {
	one := choice{f: f, path: p, noun: "handler type"}
	if h.Exec != nil && one.first("exec") {
		execAction(f, h.Exec, p.Child("exec"))
	}
	if h.HTTPGet != nil && one.first("httpGet") {
		httpGetAction(f, h.HTTPGet, p.Child("httpGet"))
	}
	if h.TCPSocket != nil && one.first("tcpSocket") {
		portOrName(f, h.TCPSocket.Port, p.Child("tcpSocket"), "port")
	}
	if h.Sleep != nil && one.first("sleep") && (h.Sleep.Seconds < 0 || h.Sleep.Seconds > grace) {
		f.invalid(p, "sleep", h.Sleep.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", grace))
	}
	one.done()
}

// stopSignal needs to know the operating system, because signals differ (KEP-4960).
func stopSignal(f *faults, s corev1.Signal, c *podContext, p *field.Path) {
	if c.spec.OS == nil || c.spec.OS.Name == "" {
		f.forbidden(p, "stopSignal", "may not be set for containers with empty `spec.os.name`")
		return
	}
	if c.spec.OS.Name == corev1.Windows {
		oneOf(f, p, "stopSignal", s, corev1.SIGKILL, corev1.SIGTERM)
		return
	}
	oneOf(f, p, "stopSignal", s, linuxSignals()...)
}

func linuxSignals() []corev1.Signal {
	names := []corev1.Signal{
		corev1.SIGABRT, corev1.SIGALRM, corev1.SIGBUS, corev1.SIGCHLD, corev1.SIGCLD, corev1.SIGCONT, corev1.SIGFPE, corev1.SIGHUP,
		corev1.SIGILL, corev1.SIGINT, corev1.SIGIO, corev1.SIGIOT, corev1.SIGKILL, corev1.SIGPIPE, corev1.SIGPOLL, corev1.SIGPROF,
		corev1.SIGPWR, corev1.SIGQUIT, corev1.SIGRTMAX,
	}
	for i := 1; i <= 14; i++ {
		names = append(names, corev1.Signal(fmt.Sprintf("SIGRTMAX-%d", i)))
	}
	names = append(names, corev1.SIGRTMIN)
	for i := 1; i <= 15; i++ {
		names = append(names, corev1.Signal(fmt.Sprintf("SIGRTMIN+%d", i)))
	}
	return append(names, corev1.SIGSEGV, corev1.SIGSTKFLT, corev1.SIGSTOP, corev1.SIGSYS, corev1.SIGTERM, corev1.SIGTRAP, corev1.SIGTSTP,
		corev1.SIGTTIN, corev1.SIGTTOU, corev1.SIGURG, corev1.SIGUSR1, corev1.SIGUSR2, corev1.SIGVTALRM, corev1.SIGWINCH, corev1.SIGXCPU, corev1.SIGXFSZ)
}
