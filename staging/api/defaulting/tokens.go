package defaulting

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
)

// TokenRequest lets a token live for an hour.
func TokenRequest(r *authenticationv1.TokenRequest) { pointer(&r.Spec.ExpirationSeconds, 60*60) }

// PodCertificateRequest lets a certificate live for a day.
func PodCertificateRequest(r *certificatesv1.PodCertificateRequest) {
	pointer(&r.Spec.MaxExpirationSeconds, 24*60*60)
}
