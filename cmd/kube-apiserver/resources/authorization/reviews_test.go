package authorization

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// A review is a question and no object: it has no name and no labels. What the server notes of its fields is none of
// the client's doing.
func TestMetadataOfReviews(t *testing.T) {
	ask := asker{authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionAllow, "", nil
	})}
	ctx := request.WithUser(request.WithNamespace(t.Context(), "shop"), &user.DefaultInfo{Name: "jane"})
	admit := func(context.Context) error { return nil }
	res := &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods", Namespace: "shop"}
	spec := authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: res}
	reviews := map[string]func(metav1.ObjectMeta) error{
		"subject": func(m metav1.ObjectMeta) error {
			return ask.subject(ctx, &authorizationv1.SubjectAccessReview{ObjectMeta: m, Spec: spec}, admit)
		},
		"local": func(m metav1.ObjectMeta) error {
			m.Namespace = "shop"
			return ask.local(ctx, &authorizationv1.LocalSubjectAccessReview{ObjectMeta: m, Spec: spec}, admit)
		},
		"self": func(m metav1.ObjectMeta) error {
			own := authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: res}
			return ask.self(ctx, &authorizationv1.SelfSubjectAccessReview{ObjectMeta: m, Spec: own}, admit)
		},
	}
	for name, review := range reviews {
		if err := review(metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, m := range map[string]metav1.ObjectMeta{"name": {Name: "x"}, "labels": {Labels: map[string]string{"a": "b"}}} {
			err := review(m)
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata: Invalid value: ") || !strings.Contains(err.Error(), ": must be empty") {
				t.Errorf("%s with %s: got %v", name, what, err)
			}
		}
	}
}
