package defaulting

import (
	certificatesv1 "k8s.io/api/certificates/v1"
)

// PodCertificateRequest lets a certificate live for a day.
func PodCertificateRequest(r *certificatesv1.PodCertificateRequest) {
	pointer(&r.Spec.MaxExpirationSeconds, 24*60*60)
}
