// Package observed is what the container runtime says of pods: their sandboxes and containers.
package observed

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Labels and annotations by which crictl, log collectors and a kubelet that starts anew know sandboxes and
// containers.
const (
	LabelPodName       = "io.kubernetes.pod.name"
	LabelPodNamespace  = "io.kubernetes.pod.namespace"
	LabelPodUID        = "io.kubernetes.pod.uid"
	LabelContainerName = "io.kubernetes.container.name"

	AnnotationHash              = "io.kubernetes.container.hash"
	AnnotationRestartCount      = "io.kubernetes.container.restartCount"
	AnnotationTerminationPath   = "io.kubernetes.container.terminationMessagePath"
	AnnotationTerminationPolicy = "io.kubernetes.container.terminationMessagePolicy"
	AnnotationPodGrace          = "io.kubernetes.pod.terminationGracePeriod"
	AnnotationPodDeletionGrace  = "io.kubernetes.pod.deletionGracePeriod"
	AnnotationPreStop           = "io.kubernetes.container.preStopHandler"
	AnnotationPorts             = "io.kubernetes.container.ports"
)

// LogRoot holds the pods' logs, ContainerLogRoot links to them by container.
const (
	LogRoot          = "/var/log/pods"
	ContainerLogRoot = "/var/log/containers"
)

// Logs are the folders of logs: by pod, and links to them by container.
type Logs struct{ Pods, Links string }

// DefaultLogs are where log collectors look.
func DefaultLogs() Logs { return Logs{Pods: LogRoot, Links: ContainerLogRoot} }

// Pod is the folder of the pod's logs.
func (l Logs) Pod(namespace, name string, uid types.UID) string {
	return filepath.Join(l.Pods, fmt.Sprintf("%s_%s_%s", namespace, name, uid))
}

// PodLogDir is the folder of the pod's logs.
func PodLogDir(namespace, name string, uid types.UID) string {
	return filepath.Join(LogRoot, fmt.Sprintf("%s_%s_%s", namespace, name, uid))
}

// ContainerLog is a container's log below its pod's folder.
func ContainerLog(container string, restartCount int) string {
	return filepath.Join(container, strconv.Itoa(restartCount)+".log")
}

// ContainerHash changes with what a running container cannot take over: its name and image (KEP-3085 leaves the
// rest of a container's specification immutable).
func ContainerHash(c *v1.Container) string {
	data, _ := json.Marshal(struct{ Name, Image string }{c.Name, c.Image})
	h := fnv.New32a()
	h.Write(data)
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}
