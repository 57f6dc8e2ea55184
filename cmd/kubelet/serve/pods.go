package serve

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pods lists the node's pods as this kubelet knows them.
func (s *Server) pods(w http.ResponseWriter, _ *http.Request) { writeJSON(w, podList(s.Pods())) }

// runningPods lists what the container runtime runs.
func (s *Server) runningPods(w http.ResponseWriter, req *http.Request) {
	if s.Running == nil {
		writeJSON(w, podList(nil))
		return
	}
	pods, err := s.Running(req.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, podList(pods))
}

func podList(pods []*v1.Pod) *v1.PodList {
	list := &v1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []v1.Pod{}}
	for _, p := range pods {
		list.Items = append(list.Items, *p)
	}
	return list
}

// find gives the pod that a request's path names. A mirror pod's UID is another than its static pod's: either does.
func (s *Server) find(req *http.Request) (*v1.Pod, error) {
	namespace, name, uid := req.PathValue("namespace"), req.PathValue("pod"), types.UID(req.PathValue("uid"))
	for _, p := range s.Pods() {
		if p.Namespace == namespace && p.Name == name && (uid == "" || p.UID == uid || p.Annotations[v1.MirrorPodAnnotationKey] == string(uid)) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("pod %q not found", namespace+"/"+name)
}

func allStatuses(p *v1.Pod) []v1.ContainerStatus {
	var all []v1.ContainerStatus
	all = append(all, p.Status.ContainerStatuses...)
	all = append(all, p.Status.InitContainerStatuses...)
	return append(all, p.Status.EphemeralContainerStatuses...)
}

func statusOf(p *v1.Pod, container string) (*v1.ContainerStatus, bool) {
	for _, c := range allStatuses(p) {
		if c.Name == container {
			return &c, true
		}
	}
	return nil, false
}

var errNotRunning = errors.New("container not found")

// runningContainer gives the runtime's ID of a container that runs.
func runningContainer(p *v1.Pod, container string) (string, error) {
	if c, ok := statusOf(p, container); ok && c.State.Running != nil && c.ContainerID != "" {
		return bareID(c.ContainerID), nil
	}
	return "", fmt.Errorf("%w (%q)", errNotRunning, container)
}

// loggedContainer gives the runtime's ID of the container whose log is asked for, or says why there is none yet.
func loggedContainer(p *v1.Pod, container string, previous bool) (string, error) {
	c, ok := statusOf(p, container)
	if !ok {
		return "", fmt.Errorf("container %q in pod %q is not available", container, p.Name)
	}
	last := ""
	if t := c.LastTerminationState.Terminated; t != nil {
		last = t.ContainerID
	}
	id := ""
	switch state := c.State; {
	case previous:
		if last == "" {
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", container, p.Name)
		}
		id = last
	case state.Running != nil:
		id = c.ContainerID
	case state.Terminated != nil && state.Terminated.ContainerID != "":
		id = state.Terminated.ContainerID
	case last != "":
		id = last
	case state.Terminated != nil:
		return "", fmt.Errorf("container %q in pod %q is terminated", container, p.Name)
	case state.Waiting != nil:
		return "", fmt.Errorf("container %q in pod %q is waiting to start: %s", container, p.Name, waiting(state.Waiting.Reason))
	default:
		return "", fmt.Errorf("container %q in pod %q is waiting to start - no logs yet", container, p.Name)
	}
	return bareID(id), nil
}

func waiting(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	}
	return reason
}

// bareID strips the runtime's name from a container ID.
func bareID(id string) string {
	if _, bare, ok := strings.Cut(id, "://"); ok {
		return bare
	}
	return id
}
