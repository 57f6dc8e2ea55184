package core

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrest "k8s.io/apiserver/pkg/registry/generic/rest"
	"k8s.io/apiserver/pkg/registry/rest"
)

// podLog is pods/log: what a container wrote.
type podLog struct {
	podReach
	streams bool // PodLogsQuerySplitStreams: one stream may be asked for
}

var (
	_ rest.GetterWithOptions = (*podLog)(nil)
	_ rest.StorageMetadata   = (*podLog)(nil)
)

// New implements rest.Storage.
func (l *podLog) New() runtime.Object { return &corev1.Pod{} }

// Destroy implements rest.Storage.
func (l *podLog) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata: a log is text, whatever kind the subresource has.
func (l *podLog) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata.
func (l *podLog) ProducesObject(string) any { return "" }

// NewGetOptions implements rest.GetterWithOptions.
func (l *podLog) NewGetOptions() (runtime.Object, bool, string) {
	return &corev1.PodLogOptions{}, false, ""
}

// Get implements rest.GetterWithOptions.
func (l *podLog) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	o, ok := options.(*corev1.PodLogOptions)
	if !ok {
		return nil, fmt.Errorf("invalid options object: %#v", options)
	}
	if errs := logFaults(o, l.streams); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), name, errs)
	}
	p, err := l.pod(ctx, name)
	if err != nil {
		return nil, err
	}
	container, err := containerOf(p, o.Container)
	if err != nil {
		return nil, err
	}
	stream := &genericrest.LocationStreamer{
		ContentType:     "text/plain",
		Flush:           o.Follow,
		ResponseChecker: genericrest.NewGenericHttpResponseChecker(corev1.Resource("pods/log"), name),
		RedirectChecker: genericrest.PreventRedirects, // CVE-2020-8559
	}
	if p.Spec.NodeName == "" {
		return stream, nil // nothing was written yet: an empty answer
	}
	e, err := l.endpoint(ctx, p)
	if err != nil {
		return nil, err
	}
	stream.Location = e.URL(fmt.Sprintf("/containerLogs/%s/%s/%s", p.Namespace, p.Name, container), logQuery(o))
	stream.Transport = transportOf(e, o.InsecureSkipTLSVerifyBackend)
	return stream, nil
}

// OverrideMetricsVerb implements rest.ResourceMetricsVerbOverride-like reporting: following a log is a connection.
func (l *podLog) OverrideMetricsVerb(verb string) string {
	if verb == "GET" {
		return "CONNECT"
	}
	return verb
}

func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	flag := func(name string, set bool) {
		if set {
			q.Set(name, "true")
		}
	}
	number := func(name string, n *int64) {
		if n != nil {
			q.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	flag("follow", o.Follow)
	flag("previous", o.Previous)
	flag("timestamps", o.Timestamps)
	number("sinceSeconds", o.SinceSeconds)
	number("tailLines", o.TailLines)
	number("limitBytes", o.LimitBytes)
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	if o.Stream != nil && *o.Stream != corev1.LogStreamAll {
		q.Set("stream", *o.Stream)
	}
	return q
}

func logFaults(o *corev1.PodLogOptions, streams bool) field.ErrorList {
	var errs field.ErrorList
	if o.TailLines != nil && *o.TailLines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *o.TailLines, "must be greater than or equal to 0"))
	}
	if o.LimitBytes != nil && *o.LimitBytes < 1 {
		errs = append(errs, field.Invalid(field.NewPath("limitBytes"), *o.LimitBytes, "must be greater than 0"))
	}
	switch {
	case o.SinceSeconds != nil && o.SinceTime != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case o.SinceSeconds != nil && *o.SinceSeconds < 1:
		errs = append(errs, field.Invalid(field.NewPath("sinceSeconds"), *o.SinceSeconds, "must be greater than 0"))
	}
	if o.Stream == nil {
		return errs
	}
	path := field.NewPath("stream")
	switch stream := *o.Stream; {
	case !streams:
		errs = append(errs, field.Forbidden(path, "may not be specified"))
	case stream == corev1.LogStreamAll:
	case stream != corev1.LogStreamStdout && stream != corev1.LogStreamStderr:
		errs = append(errs, field.NotSupported(path, stream, []string{corev1.LogStreamAll, corev1.LogStreamStdout, corev1.LogStreamStderr}))
	case o.TailLines != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now"))
	}
	return errs
}
