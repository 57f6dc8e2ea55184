package api

import (
	"net/url"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// query reads the parameters of one request into fields of an option type; the first fault stops it.
type query struct {
	values url.Values
	scope  conversion.Scope
	err    error
}

// read calls convert with the values of name when there are any.
func read[T any](q *query, name string, out *T, convert func(*[]string, *T, conversion.Scope) error) {
	if values := q.values[name]; q.err == nil && len(values) > 0 {
		q.err = convert(&values, out, q.scope)
	}
}

func (q *query) text(name string, out *string) {
	read(q, name, out, runtime.Convert_Slice_string_To_string)
}
func (q *query) flag(name string, out *bool) {
	read(q, name, out, runtime.Convert_Slice_string_To_bool)
}
func (q *query) number(name string, out **int64) {
	read(q, name, out, runtime.Convert_Slice_string_To_Pointer_int64)
}
func (q *query) time(name string, o **metav1.Time) {
	read(q, name, o, metav1.Convert_Slice_string_To_Pointer_v1_Time)
}
func (q *query) ports(name string, out *[]int32) {
	read(q, name, out, metav1.Convert_Slice_string_To_Slice_int32)
}

// addQueryConversions lets the connect subresources (log, exec, attach, portforward, proxy) read their options from
// the query of a request, as the API reference of core/v1 documents them.
func addQueryConversions(s *runtime.Scheme) error {
	steps := []func() error{
		func() error {
			return from(s, func(q *query, o *corev1.PodLogOptions) {
				q.text("container", &o.Container)
				q.flag("follow", &o.Follow)
				q.flag("previous", &o.Previous)
				q.number("sinceSeconds", &o.SinceSeconds)
				q.time("sinceTime", &o.SinceTime)
				q.flag("timestamps", &o.Timestamps)
				q.number("tailLines", &o.TailLines)
				q.number("limitBytes", &o.LimitBytes)
				q.flag("insecureSkipTLSVerifyBackend", &o.InsecureSkipTLSVerifyBackend)
				if stream := q.values["stream"]; len(stream) > 0 {
					o.Stream = &stream[0]
				}
			})
		},
		func() error {
			return from(s, func(q *query, o *corev1.PodExecOptions) {
				q.streams(&o.Stdin, &o.Stdout, &o.Stderr, &o.TTY, &o.Container)
				o.Command = q.values["command"]
			})
		},
		func() error {
			return from(s, func(q *query, o *corev1.PodAttachOptions) {
				q.streams(&o.Stdin, &o.Stdout, &o.Stderr, &o.TTY, &o.Container)
			})
		},
		func() error {
			return from(s, func(q *query, o *corev1.PodPortForwardOptions) { q.ports("ports", &o.Ports) })
		},
		func() error { return from(s, func(q *query, o *corev1.PodProxyOptions) { q.text("path", &o.Path) }) },
		func() error { return from(s, func(q *query, o *corev1.NodeProxyOptions) { q.text("path", &o.Path) }) },
		func() error {
			return from(s, func(q *query, o *corev1.ServiceProxyOptions) { q.text("path", &o.Path) })
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (q *query) streams(stdin, stdout, stderr, tty *bool, container *string) {
	q.flag("stdin", stdin)
	q.flag("stdout", stdout)
	q.flag("stderr", stderr)
	q.flag("tty", tty)
	q.text("container", container)
}

func from[T any](s *runtime.Scheme, fill func(*query, *T)) error {
	return s.AddConversionFunc((*url.Values)(nil), (*T)(nil), func(a, b any, scope conversion.Scope) error {
		q := &query{values: *a.(*url.Values), scope: scope}
		fill(q, b.(*T))
		return q.err
	})
}
