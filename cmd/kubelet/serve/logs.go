package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-client/pkg/logs"
)

// containerLogs streams a container's log.
func (s *Server) containerLogs(w http.ResponseWriter, req *http.Request) {
	options, err := logOptions(req.URL.Query())
	if err != nil {
		http.Error(w, `{"message": "Invalid request."}`, http.StatusUnprocessableEntity)
		return
	}
	pod, err := s.find(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	container := req.PathValue("container")
	if !hasContainer(pod, container) {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", container, pod.Name), http.StatusNotFound)
		return
	}
	id, err := loggedContainer(pod, container, options.Previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, err := s.Runtime.ContainerStatus(req.Context(), id, false)
	if err != nil || status.GetStatus().GetLogPath() == "" {
		http.Error(w, fmt.Sprintf("unable to retrieve container logs for %s", id), http.StatusBadRequest)
		return
	}
	out := &flushing{w: w}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	stdout, stderr := io.Writer(out), io.Writer(out)
	if options.Stream != nil {
		switch *options.Stream {
		case v1.LogStreamStdout:
			stderr = nil
		case v1.LogStreamStderr:
			stdout = nil
		}
	}
	if err := logs.ReadLogs(req.Context(), status.Status.LogPath, id, readOptions(options, time.Now()), s.Runtime, stdout, stderr); err != nil && !out.begun {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func hasContainer(p *v1.Pod, name string) bool {
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == name {
			return true
		}
	}
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == name {
			return true
		}
	}
	for i := range p.Spec.EphemeralContainers {
		if p.Spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}

// readOptions says what of the log is shown.
func readOptions(o *v1.PodLogOptions, now time.Time) *logs.LogOptions {
	out := &logs.LogOptions{TailLines: o.TailLines, LimitBytes: o.LimitBytes, Follow: o.Follow, Timestamp: o.Timestamps}
	if o.SinceSeconds != nil {
		out.Since = now.Add(-time.Duration(*o.SinceSeconds) * time.Second)
	}
	if o.SinceTime != nil && o.SinceTime.After(out.Since) {
		out.Since = o.SinceTime.Time
	}
	return out
}

// logOptions reads PodLogOptions from a query. A key that is given must be readable and in range.
func logOptions(q url.Values) (*v1.PodLogOptions, error) {
	o := &v1.PodLogOptions{}
	var errs []error
	flag := func(name string, to *bool) {
		if v := q.Get(name); q.Has(name) && v != "" {
			parsed, err := strconv.ParseBool(v)
			*to = parsed
			errs = append(errs, err)
		}
	}
	number := func(name string, least int64, to **int64) {
		if v := q.Get(name); v != "" {
			n, err := strconv.ParseInt(v, 10, 64)
			if err == nil && n < least {
				err = fmt.Errorf("%s: must be greater than or equal to %d", name, least)
			}
			*to = &n
			errs = append(errs, err)
		}
	}
	flag("follow", &o.Follow)
	flag("previous", &o.Previous)
	flag("timestamps", &o.Timestamps)
	number("tailLines", 0, &o.TailLines)
	number("sinceSeconds", 1, &o.SinceSeconds)
	number("limitBytes", 1, &o.LimitBytes)
	if v := q.Get("sinceTime"); v != "" {
		t, err := time.Parse(time.RFC3339, v)
		o.SinceTime = &metav1.Time{Time: t}
		errs = append(errs, err)
	}
	if v := q.Get("stream"); v != "" {
		if v != v1.LogStreamAll && v != v1.LogStreamStdout && v != v1.LogStreamStderr {
			errs = append(errs, fmt.Errorf("stream: %q is not supported", v))
		}
		if v != v1.LogStreamAll && o.TailLines != nil {
			errs = append(errs, errors.New("tailLines: may not be used together with one stream"))
		}
		o.Stream = &v
	}
	if o.SinceSeconds != nil && o.SinceTime != nil {
		errs = append(errs, errors.New("at most one of sinceTime or sinceSeconds may be specified"))
	}
	return o, errors.Join(errs...)
}

// flushing sends each write on at once.
type flushing struct {
	w     http.ResponseWriter
	begun bool
}

func (f *flushing) Write(p []byte) (int, error) {
	f.begun = true
	n, err := f.w.Write(p)
	if flusher, ok := f.w.(http.Flusher); ok && err == nil {
		flusher.Flush()
	}
	return n, err
}
