package serviceaccount

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/go-jose/go-jose.v2/jwt"

	"pilotis.dev/pkg/tokens"
)

// maxTokenBytes bounds what is decoded. A token of this server with every claim is below 2 KiB; HTTP headers end at 1 MiB.
const maxTokenBytes = 64 << 10

// ref names an object in a claim.
type ref struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

// privateClaims are what a token says besides the registered claims of RFC 7519.
type privateClaims struct {
	Kubernetes *boundClaims `json:"kubernetes.io,omitempty"`
	tokens.LegacyClaims
}

// boundClaims identify the service account and the object to which the token is bound.
type boundClaims struct {
	Namespace      string           `json:"namespace,omitempty"`
	ServiceAccount ref              `json:"serviceaccount"`
	Pod            *ref             `json:"pod,omitempty"`
	Secret         *ref             `json:"secret,omitempty"`
	Node           *ref             `json:"node,omitempty"`
	WarnAfter      *jwt.NumericDate `json:"warnafter,omitempty"`
}

// issuerOf reads the issuer of a compact JWT without trusting it: the signature is checked later, by the keys that
// belong to this issuer. A token that is no JWT is some other authenticator's and gives an error.
func issuerOf(token string) (string, error) {
	if len(token) > maxTokenBytes {
		return "", fmt.Errorf("token of %d bytes is longer than %d bytes", len(token), maxTokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("token has not the three parts of a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("token payload is not base64: %w", err)
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("token payload is not JSON: %w", err)
	}
	return claims.Issuer, nil
}
