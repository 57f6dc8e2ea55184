package defaulting

import (
	authenticationv1 "k8s.io/api/authentication/v1"
)

// TokenRequest lets a token live for an hour.
func TokenRequest(r *authenticationv1.TokenRequest) { pointer(&r.Spec.ExpirationSeconds, 60*60) }
