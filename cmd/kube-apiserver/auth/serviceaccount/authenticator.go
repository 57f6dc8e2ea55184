package serviceaccount

import (
	"context"
	"errors"
	"fmt"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	apiserviceaccount "k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// Authenticator accepts tokens of this server's issuers.
type Authenticator struct {
	issuers   map[string]bool
	keys      *Keys
	audiences authenticator.Audiences
	validate  func(ctx context.Context, token string, registered *jwt.Claims, private *privateClaims) (*apiserviceaccount.ServiceAccountInfo, error)
}

// AuthenticateToken implements authenticator.Token. A token of another issuer is not ours: no answer, no error.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if issuer, err := issuerOf(token); err != nil || !a.issuers[issuer] {
		return nil, false, nil // not a JWT: another authenticator may know it
	}
	parsed, err := jwt.ParseSigned(token)
	if err != nil {
		return nil, false, nil // as above
	}
	registered, private, err := a.verify(parsed)
	if err != nil {
		return nil, false, err
	}
	audiences, err := a.matchAudiences(ctx, authenticator.Audiences(registered.Audience))
	if err != nil {
		return nil, false, err
	}
	info, err := a.validate(ctx, token, registered, private)
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

// verify tries the keys that can have signed the token and returns its claims.
func (a *Authenticator) verify(parsed *jwt.JSONWebToken) (*jwt.Claims, *privateClaims, error) {
	id, alg := "", ""
	for _, h := range parsed.Headers {
		if h.KeyID != "" {
			id = h.KeyID
		}
		alg = h.Algorithm
	}
	keys := a.keys.find(id)
	if len(keys) == 0 {
		return nil, nil, errors.New("invalid signature, no keys found")
	}
	var errs []error
	for _, k := range keys {
		if alg != string(k.alg) { // the key decides the algorithm, never the token
			errs = append(errs, fmt.Errorf("token is signed by algorithm %q, the key by %q", alg, k.alg))
			continue
		}
		registered, private := &jwt.Claims{}, &privateClaims{}
		if err := parsed.Claims(k.key, registered, private); err != nil {
			errs = append(errs, err)
			continue
		}
		return registered, private, nil
	}
	return nil, nil, utilerrors.NewAggregate(errs)
}

// matchAudiences returns the audiences common to the token and the request. Tokens without audience are for the API.
func (a *Authenticator) matchAudiences(ctx context.Context, token authenticator.Audiences) (authenticator.Audiences, error) {
	if len(token) == 0 {
		token = a.audiences
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = a.audiences
	}
	common := token.Intersect(wanted)
	if len(common) == 0 && len(a.audiences) > 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", token, wanted)
	}
	return common, nil
}
