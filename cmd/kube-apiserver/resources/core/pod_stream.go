package core

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"
	translator "k8s.io/apiserver/pkg/util/proxy"

	"pilotis.dev/cmd/kube-apiserver/resources/proxied"
)

// podStream is pods/exec, pods/attach and pods/portforward: a connection to the pod's kubelet.
type podStream struct {
	podReach
	authorizer authorizer.Authorizer
	options    func() runtime.Object
	// location finds what to connect to; streams is nil for port forwarding.
	location func(p *corev1.Pod, options runtime.Object) (path string, query url.Values, streams *translator.Options, err error)
}

var _ rest.Connecter = (*podStream)(nil)

func newExec(r podReach, authz authorizer.Authorizer) *podStream {
	return &podStream{podReach: r, authorizer: authz,
		options: func() runtime.Object { return &corev1.PodExecOptions{} },
		location: func(p *corev1.Pod, options runtime.Object) (string, url.Values, *translator.Options, error) {
			o := options.(*corev1.PodExecOptions)
			s := &translator.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
			return containerLocation("exec", p, o.Container, s, o.Command)
		}}
}

func newAttach(r podReach, authz authorizer.Authorizer) *podStream {
	return &podStream{podReach: r, authorizer: authz,
		options: func() runtime.Object { return &corev1.PodAttachOptions{} },
		location: func(p *corev1.Pod, options runtime.Object) (string, url.Values, *translator.Options, error) {
			o := options.(*corev1.PodAttachOptions)
			s := &translator.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
			return containerLocation("attach", p, o.Container, s, nil)
		}}
}

func newPortForward(r podReach, authz authorizer.Authorizer) *podStream {
	return &podStream{podReach: r, authorizer: authz,
		options: func() runtime.Object { return &corev1.PodPortForwardOptions{} },
		location: func(p *corev1.Pod, options runtime.Object) (string, url.Values, *translator.Options, error) {
			query := url.Values{}
			for _, port := range options.(*corev1.PodPortForwardOptions).Ports {
				query.Add("port", fmt.Sprint(port))
			}
			return fmt.Sprintf("/portForward/%s/%s", p.Namespace, p.Name), query, nil, nil
		}}
}

func containerLocation(verb string, p *corev1.Pod, container string, s *translator.Options, command []string) (string, url.Values, *translator.Options, error) {
	container, err := containerOf(p, container)
	if err != nil {
		return "", nil, nil, err
	}
	query := url.Values{}
	for name, set := range map[string]bool{"input": s.Stdin, "output": s.Stdout, "error": s.Stderr, "tty": s.Tty} {
		if set {
			query.Set(name, "1")
		}
	}
	for _, word := range command {
		query.Add("command", word)
	}
	return fmt.Sprintf("/%s/%s/%s/%s", verb, p.Namespace, p.Name, container), query, s, nil
}

// New implements rest.Storage.
func (s *podStream) New() runtime.Object { return s.options() }

// Destroy implements rest.Storage.
func (s *podStream) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (s *podStream) NewConnectOptions() (runtime.Object, bool, string) { return s.options(), false, "" }

// ConnectMethods implements rest.Connecter.
func (s *podStream) ConnectMethods() []string { return []string{"GET", "POST"} }

// Connect implements rest.Connecter.
func (s *podStream) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	if err := proxied.RequireCreate(ctx, s.authorizer); err != nil {
		return nil, err
	}
	p, e, err := s.running(ctx, name)
	if err != nil {
		return nil, err
	}
	path, query, streams, err := s.location(p, options)
	if err != nil {
		return nil, err
	}
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot exec in or attach to a container in a completed pod; current phase is %s", p.Status.Phase))
	}
	location := e.URL(path, query)
	if streams == nil {
		return proxied.Tunnel(location, e.Transport, responder), nil
	}
	return proxied.Streams(location, e.Transport, *streams, responder), nil
}
