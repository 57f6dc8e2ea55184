package csr

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// How long requests stay (API reference of CertificateSigningRequest).
const (
	keepDecided = time.Hour
	keepPending = 24 * time.Hour
)

// NewCleaner deletes requests that are decided or pending for long, or whose certificate has expired.
func NewCleaner(requests certificatesinformers.CertificateSigningRequestInformer, client kubernetes.Interface) *reconcile.Controller {
	c := reconcile.New("csrcleaner", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		r, err := requests.Lister().Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if left := time.Until(expiry(r)); left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
		err = client.CertificatesV1().CertificateSigningRequests().Delete(ctx, r.Name, *metav1.NewRVDeletionPrecondition(r.ResourceVersion))
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}), reconcile.Options{})
	c.Watch(requests.Informer(), keyOf)
	return c
}

// expiry is when the request may go.
func expiry(r *certificatesv1.CertificateSigningRequest) time.Time {
	end := r.CreationTimestamp.Add(keepPending)
	for _, c := range r.Status.Conditions {
		if decided := c.LastUpdateTime.Add(keepDecided); decided.Before(end) {
			end = decided
		}
	}
	if block, _ := pem.Decode(r.Status.Certificate); block != nil {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && certificate.NotAfter.Before(end) {
			end = certificate.NotAfter
		}
	}
	return end
}
