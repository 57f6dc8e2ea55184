package admission

import (
	"context"
	"errors"
	"fmt"
	"io"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"

	"pilotis.dev/cmd/kube-apiserver/auth/node"
	"pilotis.dev/cmd/kube-apiserver/auth/serviceaccount"
)

// nodeRestriction keeps kubelets to their own objects where the Node authorizer cannot see it, in the content of what
// they write (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction).
type nodeRestriction struct {
	*admission.Handler
	lookup     *serviceaccount.Lookup
	claims     corelisters.PersistentVolumeClaimLister
	volumes    corelisters.PersistentVolumeLister
	drivers    storagelisters.CSIDriverLister
	authorizer authorizer.UnconditionalAuthorizer
}

func newNodeRestriction(io.Reader) (admission.Interface, error) {
	return &nodeRestriction{
		Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		lookup:  &serviceaccount.Lookup{},
	}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *nodeRestriction) SetExternalKubeClientSet(c kubernetes.Interface) { p.lookup.Client = c }

// SetUnconditionalAuthorizer implements initializer.WantsUnconditionalAuthorizer.
func (p *nodeRestriction) SetUnconditionalAuthorizer(z authorizer.UnconditionalAuthorizer) {
	p.authorizer = z
}

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *nodeRestriction) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	core, storage := f.Core().V1(), f.Storage().V1()
	p.lookup.Pods, p.lookup.Nodes, p.lookup.ServiceAccounts = core.Pods().Lister(), core.Nodes().Lister(), core.ServiceAccounts().Lister()
	p.claims, p.volumes = core.PersistentVolumeClaims().Lister(), core.PersistentVolumes().Lister()
	p.drivers = storage.CSIDrivers().Lister()
	synced := []func() bool{
		core.Pods().Informer().HasSynced, core.Nodes().Informer().HasSynced, core.PersistentVolumeClaims().Informer().HasSynced,
		core.PersistentVolumes().Informer().HasSynced, storage.CSIDrivers().Informer().HasSynced,
	}
	p.SetReadyFunc(func() bool {
		for _, s := range synced {
			if !s() {
				return false
			}
		}
		return true
	})
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *nodeRestriction) ValidateInitialization() error {
	if err := needs(p.lookup.Client, "a client"); err != nil {
		return err
	}
	if err := needs(p.authorizer, "an authorizer"); err != nil {
		return err
	}
	return needs(p.lookup.Pods, "pods")
}

// Admit implements admission.MutationInterface: it judges what the kubelet sent, before others add to it. Other users
// than kubelets pass.
func (p *nodeRestriction) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	name, isNode := node.Identity(a.GetUserInfo())
	if !isNode {
		return nil
	}
	if name == "" {
		return admission.NewForbidden(a, fmt.Errorf("could not determine node from user %q", a.GetUserInfo().GetName()))
	}
	check := p.check(a.GetResource().GroupResource())
	if check == nil {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	if err := check(ctx, name, a); err != nil {
		var refused refusal
		if errors.As(err, &refused) {
			return admission.NewForbidden(a, refused.error)
		}
		return err
	}
	return nil
}

// refusal is an error that is answered with "forbidden"; others are answered as they are.
type refusal struct{ error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

func (p *nodeRestriction) check(gr schema.GroupResource) func(context.Context, string, admission.Attributes) error {
	switch gr {
	case schema.GroupResource{Resource: "pods"}:
		return p.pods
	case schema.GroupResource{Resource: "nodes"}:
		return p.nodes
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return claimStatus
	case schema.GroupResource{Resource: "serviceaccounts"}:
		return p.tokens
	case schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}:
		return nodeLease
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
		return csiNode
	case schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceslices"}:
		return resourceSlice
	case schema.GroupResource{Group: certificatesv1.GroupName, Resource: "certificatesigningrequests"}:
		return nodeCSR
	case schema.GroupResource{Group: certificatesv1.GroupName, Resource: "podcertificaterequests"}:
		return p.podCertificateRequest
	}
	return nil
}

// nodeLease: only the lease of the node's name in the namespace of node leases.
func nodeLease(_ context.Context, name string, a admission.Attributes) error {
	if a.GetNamespace() != corev1.NamespaceNodeLease {
		return refuse("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	own := a.GetName()
	if a.GetOperation() == admission.Create {
		lease, err := object[*coordinationv1.Lease](a)
		if err != nil {
			return err
		}
		own = lease.Name
	}
	if own != name {
		return refuse("can only access node lease with the same name as the requesting node")
	}
	return nil
}

// csiNode: only the CSINode of the node's name.
func csiNode(_ context.Context, name string, a admission.Attributes) error {
	own := a.GetName()
	if own == "" {
		if m, ok := a.GetObject().(interface{ GetName() string }); ok {
			own = m.GetName()
		}
	}
	if own != name {
		return refuse("can only access CSINode with the same name as the requesting node")
	}
	return nil
}

// resourceSlice: only slices of the node. A collection that is deleted was confined by the authorizer.
func resourceSlice(_ context.Context, name string, a admission.Attributes) error {
	switch a.GetOperation() {
	case admission.Create:
		slice, err := object[*resourcev1.ResourceSlice](a)
		if err != nil {
			return err
		}
		if slice.Spec.NodeName == nil || *slice.Spec.NodeName != name {
			return refuse("can only create ResourceSlice with the same NodeName as the requesting node")
		}
	case admission.Update, admission.Delete:
		slice, ok := a.GetOldObject().(*resourcev1.ResourceSlice)
		if ok && (slice.Spec.NodeName == nil || *slice.Spec.NodeName != name) {
			return refuse("can only change or delete ResourceSlice with the same NodeName as the requesting node")
		}
	}
	return nil
}

// nodeCSR: a kubelet asks for certificates of its own node only.
func nodeCSR(_ context.Context, name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Create || a.GetSubresource() != "" {
		return nil
	}
	csr, err := object[*certificatesv1.CertificateSigningRequest](a)
	if err != nil {
		return err
	}
	switch csr.Spec.SignerName {
	case certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName:
	default:
		return nil
	}
	request, err := parseCSR(csr.Spec.Request)
	if err != nil {
		return refuse("unable to parse csr: %v", err)
	}
	if want := "system:node:" + name; request.Subject.CommonName != want {
		return refuse("can only create a node CSR with CN=%s", want)
	}
	return nil
}
