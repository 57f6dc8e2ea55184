package core

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
	"pilotis.dev/cmd/kube-apiserver/resources/kubelet"
)

// podReach gets from a pod's name to its kubelet.
type podReach struct {
	pods, nodes *kind.Store
	kubelet     *kubelet.Client
}

func newPodReach(pods *kind.Store, env *kind.Env) (podReach, error) {
	nodes, err := env.Store("", "nodes")
	return podReach{pods: pods, nodes: nodes, kubelet: env.Kubelet}, err
}

func (r podReach) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	obj, err := r.pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}

func (r podReach) endpoint(ctx context.Context, p *corev1.Pod) (*kubelet.Endpoint, error) {
	obj, err := r.nodes.Get(ctx, p.Spec.NodeName, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return r.kubelet.Endpoint(obj.(*corev1.Node))
}

// running finds the pod with its kubelet; a pod without a node is a bad request.
func (r podReach) running(ctx context.Context, name string) (*corev1.Pod, *kubelet.Endpoint, error) {
	p, err := r.pod(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if p.Spec.NodeName == "" {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", name))
	}
	e, err := r.endpoint(ctx, p)
	return p, e, err
}

// containerOf checks the name of a container, and finds the only one when none is given.
func containerOf(p *corev1.Pod, name string) (string, error) {
	containers, inits, ephemerals := containerLists(p)
	if name != "" {
		for _, list := range [][]string{containers, inits, ephemerals} {
			for _, n := range list {
				if n == name {
					return name, nil
				}
			}
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, p.Name))
	}
	switch len(containers) {
	case 1:
		return containers[0], nil
	case 0:
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s", p.Name))
	}
	message := fmt.Sprintf("a container name must be specified for pod %s, choose one of: [%s]", p.Name, strings.Join(containers, " "))
	if len(inits) > 0 {
		message += fmt.Sprintf(" or one of the init containers: [%s]", strings.Join(inits, " "))
	}
	if len(ephemerals) > 0 {
		message += fmt.Sprintf(" or one of the ephemeral containers: [%s]", strings.Join(ephemerals, " "))
	}
	return "", apierrors.NewBadRequest(message)
}

func containerLists(p *corev1.Pod) (containers, inits, ephemerals []string) {
	for i := range p.Spec.Containers {
		containers = append(containers, p.Spec.Containers[i].Name)
	}
	for i := range p.Spec.InitContainers {
		inits = append(inits, p.Spec.InitContainers[i].Name)
	}
	for i := range p.Spec.EphemeralContainers {
		ephemerals = append(ephemerals, p.Spec.EphemeralContainers[i].Name)
	}
	return containers, inits, ephemerals
}

func transportOf(e *kubelet.Endpoint, insecure bool) http.RoundTripper {
	if insecure {
		return e.Insecure
	}
	return e.Transport
}
