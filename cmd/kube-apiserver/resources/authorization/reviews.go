package authorization

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/api/validation"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Reviews are the resources of authorization.k8s.io/v1.
func Reviews(env *kind.Env) map[string]rest.Storage {
	ask := asker{env.Authorizer}
	return map[string]rest.Storage{
		"subjectaccessreviews": &kind.Review[*authorizationv1.SubjectAccessReview]{
			NewReview: func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} },
			Singular:  "subjectaccessreview",
			Answer:    ask.subject,
		},
		"localsubjectaccessreviews": &kind.Review[*authorizationv1.LocalSubjectAccessReview]{
			NewReview:  func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} },
			Singular:   "localsubjectaccessreview",
			Namespaced: true,
			Answer:     ask.local,
		},
		"selfsubjectaccessreviews": &kind.Review[*authorizationv1.SelfSubjectAccessReview]{
			NewReview: func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} },
			Singular:  "selfsubjectaccessreview",
			Answer:    ask.self,
		},
		"selfsubjectrulesreviews": &kind.Review[*authorizationv1.SelfSubjectRulesReview]{
			NewReview: func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} },
			Singular:  "selfsubjectrulesreview",
			Answer:    rules{env.RuleResolver}.self,
		},
	}
}

// asker puts questions to the server's authorizer.
type asker struct{ authorizer authorizer.Authorizer }

func (a asker) subject(ctx context.Context, r *authorizationv1.SubjectAccessReview, admit func(context.Context) error) error {
	if err := invalid("SubjectAccessReview", r); err != nil {
		return err
	}
	if err := admit(ctx); err != nil {
		return err
	}
	a.answer(ctx, subject(&r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
	return nil
}

func (a asker) local(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview, admit func(context.Context) error) error {
	if err := invalid("LocalSubjectAccessReview", r); err != nil {
		return err
	}
	namespace := request.NamespaceValue(ctx)
	switch {
	case namespace == "":
		return apierrors.NewBadRequest(fmt.Sprintf("namespace is required on this type: %v", namespace))
	case r.Namespace == "":
		r.Namespace = namespace
	case namespace != r.Namespace:
		return apierrors.NewBadRequest(fmt.Sprintf("spec.resourceAttributes.namespace must match namespace: %v", namespace))
	}
	if err := admit(ctx); err != nil {
		return err
	}
	a.answer(ctx, subject(&r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
	return nil
}

func (a asker) self(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview, admit func(context.Context) error) error {
	if err := invalid("SelfSubjectAccessReview", r); err != nil {
		return err
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewBadRequest("no user present on request")
	}
	if err := admit(ctx); err != nil {
		return err
	}
	a.answer(ctx, who, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
	return nil
}

func invalid(kind string, review runtime.Object) error {
	errs := validation.Create(review)
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind(kind).GroupKind(), "", errs)
}

func (a asker) answer(ctx context.Context, who user.Info, res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes,
	status *authorizationv1.SubjectAccessReviewStatus) {
	decision, reason, err := a.authorizer.Authorize(ctx, attributes(who, res, non))
	*status = authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
}

func subject(s *authorizationv1.SubjectAccessReviewSpec) user.Info {
	extra := make(map[string][]string, len(s.Extra))
	for k, v := range s.Extra {
		extra[k] = v
	}
	return &user.DefaultInfo{Name: s.User, Groups: s.Groups, UID: s.UID, Extra: extra}
}

func attributes(who user.Info, res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes) authorizer.Attributes {
	if non != nil {
		return authorizer.AttributesRecord{User: who, Verb: non.Verb, Path: non.Path}
	}
	if res == nil {
		return authorizer.AttributesRecord{User: who}
	}
	record := authorizer.AttributesRecord{
		User: who, Verb: res.Verb, Namespace: res.Namespace, APIGroup: res.Group, APIVersion: versionOrAny(res.Version),
		Resource: res.Resource, Subresource: res.Subresource, Name: res.Name, ResourceRequest: true,
	}
	if res.FieldSelector != nil {
		record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(res.FieldSelector)
	}
	if res.LabelSelector != nil {
		record.LabelSelectorRequirements, record.LabelSelectorParsingErr = labelRequirements(res.LabelSelector)
	}
	return record
}

func versionOrAny(v string) string {
	if v == "" {
		return "*"
	}
	return v
}
