package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// rules lists what the caller may do in a namespace; kubectl auth can-i --list prints it.
type rules struct{ resolver authorizer.RuleResolver }

func (r rules) self(ctx context.Context, review *authorizationv1.SelfSubjectRulesReview, admit func(context.Context) error) error {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewBadRequest("no user present on request")
	}
	namespace := review.Spec.Namespace
	if namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	if err := admit(ctx); err != nil {
		return err
	}
	review.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	if r.resolver == nil {
		review.Status.Incomplete = true
		review.Status.EvaluationError = "no authorizer of this server can list its rules"
		return nil
	}
	resources, nonResources, incomplete, err := r.resolver.RulesFor(ctx, who, namespace)
	review.Status.Incomplete = incomplete
	if err != nil {
		review.Status.EvaluationError = err.Error()
	}
	for _, rule := range resources {
		review.Status.ResourceRules = append(review.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: rule.GetVerbs(), APIGroups: rule.GetAPIGroups(), Resources: rule.GetResources(), ResourceNames: rule.GetResourceNames(),
		})
	}
	for _, rule := range nonResources {
		review.Status.NonResourceRules = append(review.Status.NonResourceRules, authorizationv1.NonResourceRule{
			Verbs: rule.GetVerbs(), NonResourceURLs: rule.GetNonResourceURLs(),
		})
	}
	return nil
}
