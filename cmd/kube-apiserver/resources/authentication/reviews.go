package authentication

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Reviews are the resources of authentication.k8s.io/v1.
func Reviews(env *kind.Env) map[string]rest.Storage {
	t := tokens{authenticator: env.Authenticator, audiences: env.Audiences}
	return map[string]rest.Storage{
		"tokenreviews": &kind.Review[*authenticationv1.TokenReview]{
			NewReview: func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} },
			Singular:  "tokenreview",
			Answer:    t.review,
		},
		"selfsubjectreviews": &kind.Review[*authenticationv1.SelfSubjectReview]{
			NewReview: func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} },
			Singular:  "selfsubjectreview",
			Answer:    whoami,
		},
	}
}

type tokens struct {
	authenticator authenticator.Request
	audiences     authenticator.Audiences
}

// review says whose token it is and for which of the asked audiences it counts.
func (t tokens) review(ctx context.Context, r *authenticationv1.TokenReview, admit func(context.Context) error) error {
	if r.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	if r.Namespace != "" {
		return apierrors.NewBadRequest("namespace is not allowed on this type: " + r.Namespace)
	}
	if err := admit(ctx); err != nil {
		return err
	}
	r.Status = authenticationv1.TokenReviewStatus{}
	if t.authenticator == nil {
		return nil
	}
	asked := authenticator.Audiences(r.Spec.Audiences)
	if len(asked) == 0 {
		asked = t.audiences
	}
	if len(asked) > 0 {
		ctx = authenticator.WithAudiences(ctx, asked)
	}
	fake := (&http.Request{Header: http.Header{"Authorization": {"Bearer " + r.Spec.Token}}}).WithContext(ctx)
	response, ok, err := t.authenticator.AuthenticateRequest(fake)
	r.Status.Authenticated = ok
	if err != nil {
		r.Status.Error = err.Error()
	}
	if len(asked) > 0 && response != nil && len(asked.Intersect(response.Audiences)) == 0 {
		return apierrors.NewInternalError(fmt.Errorf("%w: token is for %q, asked was %q", errAudience, response.Audiences, asked))
	}
	if ok && response != nil {
		r.Status.User = info(response.User)
		r.Status.Audiences = response.Audiences
	}
	return nil
}

var errAudience = errors.New("authenticator returned audiences nobody asked for")

// whoami tells the caller who it is (KEP-3325).
func whoami(ctx context.Context, r *authenticationv1.SelfSubjectReview, admit func(context.Context) error) error {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewBadRequest("no user present on request")
	}
	if err := admit(ctx); err != nil {
		return err
	}
	r.CreationTimestamp = metav1.Now()
	r.Status = authenticationv1.SelfSubjectReviewStatus{UserInfo: info(who)}
	return nil
}

func info(u user.Info) authenticationv1.UserInfo {
	out := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups()}
	if extra := u.GetExtra(); len(extra) > 0 {
		out.Extra = make(map[string]authenticationv1.ExtraValue, len(extra))
		for k, v := range extra {
			out.Extra[k] = v
		}
	}
	return out
}
