// Package trustbundle publishes the authority of the API server's serving certificate as a ClusterTrustBundle, which pods mount
// (KEP-3257).
package trustbundle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	certificateslisters "k8s.io/client-go/listers/certificates/v1"
	"k8s.io/client-go/tools/cache"

	"pilotis.dev/pkg/reconcile"
)

// Signer is that of the certificates with which API servers serve.
const Signer = "kubernetes.io/kube-apiserver-serving"

// Fields are those of the bundles that the controller needs to see.
const Fields = "spec.signerName=" + Signer

// Plan is what is to be written, in this order: a bundle that pods read never vanishes before its successor is there.
type Plan struct {
	Create, Update *certificatesv1.ClusterTrustBundle
	Delete         []*certificatesv1.ClusterTrustBundle
}

// NewPlan compares the bundles of the signer with the one that should be: the PEM bundle ca, under a name that says what is in it.
func NewPlan(have []*certificatesv1.ClusterTrustBundle, ca string) Plan {
	sum := sha256.Sum256([]byte(ca))
	want := &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s:%x", strings.ReplaceAll(Signer, "/", ":"), sum[:12])},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: Signer, TrustBundle: ca},
	}
	plan := Plan{Create: want}
	for _, b := range have {
		switch {
		case b.Spec.SignerName != Signer:
		case b.Name != want.Name:
			plan.Delete = append(plan.Delete, b)
		default:
			plan.Create = nil
			if b.Spec != want.Spec {
				plan.Update = b.DeepCopy()
				plan.Update.Spec = want.Spec
			}
		}
	}
	return plan
}

// New makes the controller, which has one key. bundles has the ClusterTrustBundles of Fields.
func New(bundles cache.SharedIndexInformer, client kubernetes.Interface, ca string) *reconcile.Controller {
	lister := certificateslisters.NewClusterTrustBundleLister(bundles.GetIndexer())
	api := client.CertificatesV1().ClusterTrustBundles()
	only := reconcile.Key{Name: "kube-apiserver-serving"}
	var loop *reconcile.Controller
	loop = reconcile.New("kube-apiserver-serving-clustertrustbundle-publisher", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		have, err := lister.List(labels.Everything())
		if err != nil {
			return reconcile.Result{}, err
		}
		plan := NewPlan(have, ca)
		var written *certificatesv1.ClusterTrustBundle
		switch {
		case plan.Create != nil:
			written, err = api.Create(ctx, plan.Create, metav1.CreateOptions{})
		case plan.Update != nil:
			written, err = api.Update(ctx, plan.Update, metav1.UpdateOptions{})
		}
		if err != nil {
			return reconcile.Result{}, err
		}
		if written != nil {
			loop.Wrote(bundles, key, written)
		}
		for _, b := range plan.Delete {
			if err := api.Delete(ctx, b.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(b.UID))}); reconcile.IgnoreNotFound(err) != nil {
				return reconcile.Result{}, err
			}
			loop.Deleted(bundles, key, b)
		}
		return reconcile.Result{}, nil
	}), reconcile.Options{})
	loop.Watch(bundles, func(any) []reconcile.Key { return []reconcile.Key{only} })
	loop.Enqueue(only) // there may be no bundle yet
	return loop
}
