package csr

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// keepPodRequest is how long a PodCertificateRequest stays, whatever became of it (KEP-4317): the kubelet that made it has read its
// certificate by then, or made another.
const keepPodRequest = 15 * time.Minute

// NewPodRequestCleaner deletes PodCertificateRequests that are older than 15 minutes.
func NewPodRequestCleaner(requests certificatesinformers.PodCertificateRequestInformer, client kubernetes.Interface, clock clock.WithTicker) *reconcile.Controller {
	c := reconcile.New("podcertificaterequestcleaner", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		r, err := requests.Lister().PodCertificateRequests(key.Namespace).Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if left := keepPodRequest - clock.Since(r.CreationTimestamp.Time); left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
		err = client.CertificatesV1().PodCertificateRequests(r.Namespace).Delete(ctx, r.Name, *metav1.NewRVDeletionPrecondition(r.ResourceVersion))
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}), reconcile.Options{Clock: clock})
	c.Watch(requests.Informer(), reconcile.ObjectKey)
	return c
}
