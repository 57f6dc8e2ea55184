package tokens

import (
	"gopkg.in/go-jose/go-jose.v2/jwt"
)

// LegacyIssuer is the issuer of tokens kept in Secrets.
const LegacyIssuer = "kubernetes/serviceaccount"

// Labels of Secrets with tokens, and the ConfigMap in kube-system that says in TrackingSince from which day on their use has been
// recorded (KEP-2799). Days are written as time.DateOnly, in UTC.
const (
	// LastUsedLabel holds the day of the last use of a token in a Secret.
	LastUsedLabel = "kubernetes.io/legacy-token-last-used"
	// InvalidSinceLabel marks an unused, automatically made token that no longer works.
	InvalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"

	TrackingConfigMap = "kube-apiserver-legacy-service-account-token-tracking"
	TrackingSince     = "since"
)

// LegacyClaims are those of tokens in Secrets, besides the registered ones.
type LegacyClaims struct {
	ServiceAccountName string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	ServiceAccountUID  string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
	SecretName         string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	Namespace          string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
}

// Legacy returns a token for a Secret. It is good as long as the Secret holds it and its service account lives.
func (s *Signer) Legacy(c LegacyClaims) (string, error) {
	return s.Sign(jwt.Claims{Subject: "system:serviceaccount:" + c.Namespace + ":" + c.ServiceAccountName}, c)
}
