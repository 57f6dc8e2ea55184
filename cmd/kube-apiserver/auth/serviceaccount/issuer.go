package serviceaccount

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	apiserviceaccount "k8s.io/apiserver/pkg/authentication/serviceaccount"
	tokenjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/tokens"
)

const (
	// ProjectedSeconds is the lifetime that the ServiceAccount admission plugin asks for; the seven seconds mark its
	// requests, so that only those are extended.
	ProjectedSeconds = 60*60 + 7
	// ExtendedSeconds is how long such a token really lives while clients that do not reread it are tolerated.
	ExtendedSeconds = 24 * 365 * 60 * 60
)

// Issuer answers the TokenRequest API (KEP-1205).
type Issuer struct {
	Signer    *tokens.Signer
	Audiences authenticator.Audiences // of tokens that name none
	Lookup    *Lookup
	// MaxExpiration bounds what clients may ask for; 0 is no bound.
	MaxExpiration time.Duration
	// Extend gives the API tokens of pods a longer life, and the audit log a note on each use after the asked time.
	Extend bool
	Clock  clock.PassiveClock
}

// Bounds of what may be asked for (API reference of TokenRequest).
const (
	minSeconds = 10 * 60
	maxSeconds = 1 << 32
)

// Prepare fills what the request leaves open and refuses what contradicts its URL or asks for a life too short or too
// long. It comes before admission.
func (i *Issuer) Prepare(namespace, name string, req *authenticationv1.TokenRequest) error {
	if req.Name == "" {
		req.Name = name
	} else if req.Name != name {
		return apierrors.NewBadRequest(fmt.Sprintf("name in URL does not match name in TokenRequest: %q != %q", name, req.Name))
	}
	if req.Namespace == "" {
		req.Namespace = namespace
	} else if req.Namespace != namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("namespace in URL does not match namespace in TokenRequest: %q != %q", namespace, req.Namespace))
	}
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = i.Audiences
	}
	if req.Spec.ExpirationSeconds == nil {
		hour := int64(3600)
		req.Spec.ExpirationSeconds = &hour
	}
	var errs field.ErrorList
	path := field.NewPath("spec", "expirationSeconds")
	switch seconds := *req.Spec.ExpirationSeconds; {
	case seconds < minSeconds:
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	case seconds > maxSeconds:
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}, name, errs)
	}
	return nil
}

// Issue returns the answer to a prepared, valid and admitted request for a token of service account sa.
func (i *Issuer) Issue(ctx context.Context, sa *corev1.ServiceAccount, req *authenticationv1.TokenRequest, dryRun bool) (*authenticationv1.TokenRequest, error) {
	if req.UID != "" && req.UID != sa.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: authenticationv1.GroupName, Resource: "token"}, sa.Name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", req.UID, sa.UID))
	}
	claims := &boundClaims{Namespace: sa.Namespace, ServiceAccount: ref{Name: sa.Name, UID: string(sa.UID)}}
	if req.Spec.BoundObjectRef != nil {
		if err := i.bind(ctx, sa, req.Spec.BoundObjectRef, claims); err != nil {
			return nil, err
		}
	}
	out := req.DeepCopy()
	asked := *out.Spec.ExpirationSeconds
	if limit := int64(i.MaxExpiration.Seconds()); limit > 0 && asked > limit {
		warning.AddWarning(ctx, "", fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", asked, limit))
		asked = limit
		out.Spec.ExpirationSeconds = &asked
	}
	now := i.Clock.Now()
	lifetime := asked
	if i.Extend && asked == ProjectedSeconds && claims.Pod != nil && i.forAPI(out.Spec.Audiences) {
		claims.WarnAfter = jwt.NewNumericDate(now.Add(time.Duration(asked) * time.Second))
		lifetime = ExtendedSeconds
	}
	registered := jwt.Claims{
		Subject:   apiserviceaccount.MakeUsername(sa.Namespace, sa.Name),
		Audience:  jwt.Audience(out.Spec.Audiences),
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now),
		Expiry:    jwt.NewNumericDate(now.Add(time.Duration(lifetime) * time.Second)),
		ID:        uuid.NewString(),
	}
	if dryRun {
		out.Status = authenticationv1.TokenRequestStatus{}
		return out, nil
	}
	token, err := i.Signer.Sign(registered, &privateClaims{Kubernetes: claims})
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to sign token: %w", err))
	}
	audit.AddAuditAnnotation(ctx, apiserviceaccount.IssuedCredentialIDAuditAnnotationKey, tokenjwt.CredentialIDForJTI(registered.ID))
	out.Status = authenticationv1.TokenRequestStatus{
		Token: token,
		// what clients plan by is the time they asked for
		ExpirationTimestamp: metav1.NewTime(now.Add(time.Duration(asked) * time.Second)),
	}
	return out, nil
}

// forAPI reports whether all audiences are the API's.
func (i *Issuer) forAPI(audiences []string) bool {
	return len(audiences) > 0 && len(authenticator.Audiences(audiences).Intersect(i.Audiences)) == len(audiences)
}

// bind fills the claims of the object to which the token is bound.
func (i *Issuer) bind(ctx context.Context, sa *corev1.ServiceAccount, bound *authenticationv1.BoundObjectReference, claims *boundClaims) error {
	gvk := schema.FromAPIVersionAndKind(bound.APIVersion, bound.Kind)
	var uid types.UID
	switch {
	case gvk.Group == "" && gvk.Kind == "Pod":
		pod, err := i.Lookup.Pod(ctx, sa.Namespace, bound.Name, string(bound.UID))
		if err != nil {
			return err
		}
		if pod.Spec.ServiceAccountName != sa.Name {
			return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", sa.Name))
		}
		uid = pod.UID
		claims.Pod = &ref{Name: pod.Name, UID: string(pod.UID)}
		if pod.Spec.NodeName != "" {
			claims.Node = &ref{Name: pod.Spec.NodeName}
			node, err := i.Lookup.Node(ctx, pod.Spec.NodeName, "")
			switch {
			case err == nil:
				claims.Node.UID = string(node.UID)
			case !apierrors.IsNotFound(err):
				return apierrors.NewInternalError(err)
			}
		}
	case gvk.Group == "" && gvk.Kind == "Node":
		node, err := i.Lookup.Node(ctx, bound.Name, string(bound.UID))
		if err != nil {
			return err
		}
		uid = node.UID
		claims.Node = &ref{Name: node.Name, UID: string(node.UID)}
	case gvk.Group == "" && gvk.Kind == "Secret":
		secret, err := i.Lookup.Secret(ctx, sa.Namespace, bound.Name)
		if err != nil {
			return err
		}
		uid = secret.UID
		claims.Secret = &ref{Name: secret.Name, UID: string(secret.UID)}
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk))
	}
	if bound.UID != "" && bound.UID != uid {
		return apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, bound.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", bound.UID))
	}
	return nil
}
