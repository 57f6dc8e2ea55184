// Package act carries plans out: it makes and ends sandboxes and containers through the container runtime.
package act

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	internalapi "k8s.io/cri-api/pkg/apis"

	"pilotis.dev/cmd/kubelet/images"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/resources"
)

// Volume is a pod's volume, ready on the host.
type Volume struct {
	HostPath string
	ReadOnly bool
	Block    bool   // HostPath is a device
	Image    string // the runtime mounts this image; HostPath is empty
	// SELinuxRelabel: the volume is the pod's, and what is in it gets the label of its containers.
	SELinuxRelabel bool
}

// Objects gives the ConfigMaps and Secrets that environments are made from.
type Objects interface {
	Secret(namespace, name string) (*v1.Secret, error)
	ConfigMap(namespace, name string) (*v1.ConfigMap, error)
}

// Config of an Actor.
type Config struct {
	Runtime  internalapi.RuntimeService
	Images   *images.Manager
	Recorder record.EventRecorder
	Objects  Objects
	// Services are those of a namespace and the API's own, for environment variables; known is false until the API
	// has told all of them.
	Services func(namespace string) (services []*v1.Service, known bool)

	RootDir        string // of pods' directories
	Logs           observed.Logs
	ClusterDNS     []string
	ClusterDomain  string
	ResolvConf     string
	HostIPs        func() []string
	Hostname       string
	Allocatable    func() v1.ResourceList
	CgroupParent   func(pod *v1.Pod) string
	SeccompDefault bool
	SeccompRoot    string
	CPUQuota       bool
	CPUPeriod      time.Duration
	UnifiedCgroups bool
	GroupOOMKill   bool                      // a container dies whole when its memory runs out (cgroup v2)
	Users          *resources.UserNamespaces // nil: pods with hostUsers: false are refused
	Sysctls        map[string]string         // of every pod that does not set them itself
	// RuntimeHandler is what the runtime calls a RuntimeClass.
	RuntimeHandler func(ctx context.Context, class string) (string, error)
	// Handlers are the runtime's, with what each can do; nil: not known.
	Handlers func() []v1.NodeRuntimeHandler
	// SubPath gives a path inside a volume that neither dots nor links lead out of.
	SubPath func(uid types.UID, container string, index int, volume, volumePath, subPath string, readOnly bool) (string, error)
}

// Actor is stateless.
type Actor struct {
	Config
}

// New returns an actor.
func New(c Config) *Actor { return &Actor{Config: c} }

// Failure is an error with the reason that the container's waiting state shows.
type Failure struct {
	Reason string
	Err    error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Reasons of waiting containers, as users know them.
const (
	ReasonCreateConfigError = "CreateContainerConfigError"
	ReasonCreateError       = "CreateContainerError"
	ReasonRunError          = "RunContainerError"
	ReasonPostStart         = "PostStartHookError"
)
