package serviceaccount

import (
	"crypto"
	"encoding/json"
	"fmt"

	jose "gopkg.in/go-jose/go-jose.v2"
	"k8s.io/client-go/util/keyutil"

	"pilotis.dev/pkg/tokens"
)

// publicKey is a key that verifies tokens. Its ID is the hash of the key itself, so that servers agree without talking.
type publicKey struct {
	id  string
	alg jose.SignatureAlgorithm
	key any
}

// Keys are the public keys that verify tokens, in the order in which they were given.
type Keys struct {
	all  []publicKey
	byID map[string][]publicKey
}

// LoadKeys reads public keys (PEM: PUBLIC KEY, CERTIFICATE or private keys, of which the public half is taken).
// signing, when not nil, is added because what this server signs it must also accept.
func LoadKeys(files []string, signing crypto.PrivateKey) (*Keys, error) {
	var raw []any
	for _, f := range files {
		keys, err := keyutil.PublicKeysFromFile(f)
		if err != nil {
			return nil, fmt.Errorf("reading service account keys of %s: %w", f, err)
		}
		raw = append(raw, keys...)
	}
	if signing != nil {
		signer, ok := signing.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("service account signing key: %T cannot sign", signing)
		}
		raw = append(raw, signer.Public())
	}
	return newKeys(raw...)
}

func newKeys(raw ...any) (*Keys, error) {
	k := &Keys{byID: map[string][]publicKey{}}
	for _, r := range raw {
		id, err := tokens.KeyID(r)
		if err != nil {
			return nil, err
		}
		alg, err := tokens.Algorithm(r)
		if err != nil {
			return nil, err
		}
		if len(k.byID[id]) > 0 {
			continue
		}
		p := publicKey{id: id, alg: alg, key: r}
		k.all = append(k.all, p)
		k.byID[id] = append(k.byID[id], p)
	}
	return k, nil
}

// find returns the keys to try for a key ID; tokens without a known ID are tried with all keys, as those of Secrets
// signed by older servers carry none.
func (k *Keys) find(id string) []publicKey {
	if keys := k.byID[id]; id != "" && len(keys) > 0 {
		return keys
	}
	return k.all
}

// JWKS returns the JSON Web Key Set (RFC 7517) of the keys and the algorithms that occur in it.
func (k *Keys) JWKS() (keySet []byte, algorithms []string, err error) {
	var set jose.JSONWebKeySet
	seen := map[jose.SignatureAlgorithm]bool{}
	for _, p := range k.all {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.key, KeyID: p.id, Algorithm: string(p.alg), Use: "sig"})
		if !seen[p.alg] {
			seen[p.alg] = true
			algorithms = append(algorithms, string(p.alg))
		}
	}
	keySet, err = json.Marshal(set)
	return keySet, algorithms, err
}
