package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// token verifies a service account's token as a relying party does (OpenID Connect Discovery 1.0): it finds the keys by
// the issuer that the token names, and prints whom the token is of.
func token(args []string) error {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	file := flags.String("file", mounted+"token", "the token to verify")
	audience := flags.String("audience", "", "whom the token must be for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	raw, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var head, claims map[string]any
	signed, signature, err := split(string(bytes.TrimSpace(raw)), &head, &claims)
	if err != nil {
		return err
	}
	client, err := inCluster()
	if err != nil {
		return err
	}
	issuer, _ := claims["iss"].(string)
	var discovery struct {
		Issuer     string   `json:"issuer"`
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := client.read(issuer+"/.well-known/openid-configuration", &discovery); err != nil {
		return err
	}
	if discovery.Issuer != issuer {
		return fmt.Errorf("the issuer of the token is %q, the document's %q", issuer, discovery.Issuer)
	}
	algorithm, _ := head["alg"].(string)
	if !slices.Contains(discovery.Algorithms, algorithm) {
		return fmt.Errorf("the token is signed with %q, the issuer says it uses %v", algorithm, discovery.Algorithms)
	}
	var set struct {
		Keys []webKey `json:"keys"`
	}
	if err := client.read(discovery.Keys, &set); err != nil {
		return err
	}
	i := slices.IndexFunc(set.Keys, func(k webKey) bool { return k.ID == head["kid"] })
	if i < 0 {
		return fmt.Errorf("no key of %s has the token's kid %v", discovery.Keys, head["kid"])
	}
	if err := set.Keys[i].verify(signed, signature); err != nil {
		return err
	}
	if expires, _ := claims["exp"].(float64); time.Now().After(time.Unix(int64(expires), 0)) {
		return fmt.Errorf("the token expired at %v", time.Unix(int64(expires), 0))
	}
	if audiences, _ := claims["aud"].([]any); *audience != "" && !slices.Contains(audiences, any(*audience)) {
		return fmt.Errorf("the token is for %v", audiences)
	}
	fmt.Println(claims["sub"])
	return nil
}

// split takes a JWT apart (RFC 7519): what is signed, and the signature.
func split(jwt string, head, claims any) (signed string, signature []byte, err error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "", nil, fmt.Errorf("a JWT has three parts, this has %d", len(parts))
	}
	for i, out := range []any{head, claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return "", nil, err
		}
		if err := json.Unmarshal(data, out); err != nil {
			return "", nil, err
		}
	}
	signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	return parts[0] + "." + parts[1], signature, err
}

// webKey is a public key of a JWK set (RFC 7518), RSA or of curve P-256.
type webKey struct {
	ID   string `json:"kid"`
	Kind string `json:"kty"`
	N    number `json:"n"`
	E    number `json:"e"`
	X    number `json:"x"`
	Y    number `json:"y"`
}

func (k webKey) verify(signed string, signature []byte) error {
	sum := sha256.Sum256([]byte(signed))
	integer := func(data []byte) *big.Int { return new(big.Int).SetBytes(data) }
	switch {
	case k.Kind == "RSA":
		return rsa.VerifyPKCS1v15(&rsa.PublicKey{N: integer(k.N), E: int(integer(k.E).Int64())}, crypto.SHA256, sum[:], signature)
	case k.Kind == "EC" && len(signature) == 64:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, k.X, k.Y))
		if err != nil {
			return err
		}
		if !ecdsa.Verify(key, sum[:], integer(signature[:32]), integer(signature[32:])) {
			return errors.New("the token's signature is not of the issuer's key")
		}
		return nil
	}
	return fmt.Errorf("a key of kind %q cannot be used here", k.Kind)
}

// number is an unsigned integer as a JWK writes it.
type number []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *number) UnmarshalText(text []byte) (err error) {
	*n, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

// reader gets JSON documents with the credentials of the pod.
type reader struct {
	*http.Client
	token string
}

func inCluster() (*reader, error) {
	client, err := trusting(mounted + "ca.crt")
	if err != nil {
		return nil, err
	}
	client.Timeout = 10 * time.Second
	own, err := os.ReadFile(mounted + "token")
	return &reader{client, string(own)}, err
}

func (r *reader) read(url string, out any) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := r.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.Unmarshal(body, out)
}
