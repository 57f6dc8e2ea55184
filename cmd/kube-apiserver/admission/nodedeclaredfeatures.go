package admission

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-helpers/nodedeclaredfeatures"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
)

// nodeDeclaredFeatures refuses a change of a running pod that its node does not know how to carry out (KEP-5328).
type nodeDeclaredFeatures struct {
	*admission.Handler
	client  kubernetes.Interface
	nodes   corelisters.NodeLister
	version *version.Version
	off     bool
}

func newNodeDeclaredFeatures(io.Reader) (admission.Interface, error) {
	return &nodeDeclaredFeatures{Handler: admission.NewHandler(admission.Update)}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *nodeDeclaredFeatures) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *nodeDeclaredFeatures) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().Nodes()
	p.nodes = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// InspectFeatureGates implements initializer.WantsFeatures.
func (p *nodeDeclaredFeatures) InspectFeatureGates(on featuregate.FeatureGate) {
	p.off = !on.Enabled(gated.NodeDeclaredFeatures)
}

// InspectEffectiveVersion implements initializer.WantsEffectiveVersion.
func (p *nodeDeclaredFeatures) InspectEffectiveVersion(v compatibility.EffectiveVersion) {
	if v != nil {
		p.version = v.EmulationVersion()
	}
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *nodeDeclaredFeatures) ValidateInitialization() error {
	if err := needs(p.version, "the server's version"); err != nil {
		return err
	}
	return needs(p.nodes, "nodes")
}

// Validate implements admission.ValidationInterface.
func (p *nodeDeclaredFeatures) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if p.off || (!is(a, "", "pods") && !isSub(a, "", "pods", "resize")) {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	old, err := oldObject[*corev1.Pod](a)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		return nil // the scheduler will choose a node that knows how
	}
	framework := nodedeclaredfeatures.DefaultFramework
	wanted, err := framework.InferForPodUpdate(
		&nodedeclaredfeatures.PodInfo{Spec: &old.Spec, Status: &old.Status},
		&nodedeclaredfeatures.PodInfo{Spec: &pod.Spec, Status: &pod.Status}, p.version)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("failed to infer pod capability requirements: %w", err))
	}
	if wanted.IsEmpty() {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	node, err := p.nodes.Get(pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		node, err = p.client.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil // the pod goes with its node
	}
	if err != nil {
		return err
	}
	match, err := framework.MatchNode(wanted, node)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("failed to match pod requirements against node %q: %w", node.Name, err))
	}
	if !match.IsMatch {
		return admission.NewForbidden(a, fmt.Errorf("pod update requires features %v which are not available on node %q", match.UnsatisfiedRequirements, node.Name))
	}
	return nil
}
