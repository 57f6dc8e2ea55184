package admissionregistration

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// A policy's expressions see its parameters, and its messages tell of them. So whoever names parameters must be able to
// read them (KEP-3488).

// readableParamKind asks it of those who write policies.
func readableParamKind(store *genericregistry.Store, env *kind.Env) error {
	guard(store, func(ctx context.Context, obj, old runtime.Object) *field.Error {
		k := paramKindOf(obj)
		if k == nil || old != nil && equality.Semantic.DeepEqual(k, paramKindOf(old)) {
			return nil
		}
		question := about(env, k)
		question.Verb, question.Namespace, question.Name = "get", "*", "*"
		if who, may := allowed(ctx, env, question); !may {
			return field.Forbidden(field.NewPath("spec", "paramKind"), fmt.Sprintf(
				`user %q must have "get" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)`, who, k.Kind, k.APIVersion))
		}
		return nil
	})
	return nil
}

// readableParamRef asks it of those who write bindings of policies.
func readableParamRef(store *genericregistry.Store, env *kind.Env) error {
	guard(store, func(ctx context.Context, obj, old runtime.Object) *field.Error {
		b := bindingOf(obj)
		if b.ref == nil || old != nil && equality.Semantic.DeepEqual(b.ref, bindingOf(old).ref) && b.policy == bindingOf(old).policy {
			return nil
		}
		question := about(env, b.paramKind(ctx, env))
		question.Verb, question.Namespace, question.Name = "get", b.ref.Namespace, b.ref.Name
		if b.ref.Name == "" {
			question.Verb = "list"
		}
		if who, may := allowed(ctx, env, question); !may {
			return field.Forbidden(field.NewPath("spec", "paramRef"), fmt.Sprintf(
				"user %q does not have %q permission on the object referenced by paramRef", who, question.Verb))
		}
		return nil
	})
	return nil
}

// guard refuses writes in which check finds a fault. old is nil on create.
func guard(store *genericregistry.Store, check func(ctx context.Context, obj, old runtime.Object) *field.Error) {
	refuse := func(ctx context.Context, obj, old runtime.Object) (genericregistry.FinishFunc, error) {
		fault := check(ctx, obj, old)
		if fault == nil {
			return func(context.Context, bool) {}, nil
		}
		kinds, _, err := store.CreateStrategy.ObjectKinds(obj)
		if err != nil {
			return nil, err
		}
		m, err := meta.Accessor(obj)
		if err != nil {
			return nil, err
		}
		return nil, apierrors.NewInvalid(kinds[0].GroupKind(), m.GetName(), field.ErrorList{fault})
	}
	store.BeginCreate = func(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		return refuse(ctx, obj, nil)
	}
	store.BeginUpdate = func(ctx context.Context, obj, old runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		return refuse(ctx, obj, old)
	}
}

func paramKindOf(policy runtime.Object) *admissionregistrationv1.ParamKind {
	switch p := policy.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return p.Spec.ParamKind
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return p.Spec.ParamKind
	}
	return nil
}

// binding is what bindings of both kinds say: the policy, its resource and the parameters.
type binding struct {
	policies, policy string
	ref              *admissionregistrationv1.ParamRef
}

func bindingOf(obj runtime.Object) binding {
	switch b := obj.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return binding{"validatingadmissionpolicies", b.Spec.PolicyName, b.Spec.ParamRef}
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return binding{"mutatingadmissionpolicies", b.Spec.PolicyName, b.Spec.ParamRef}
	}
	return binding{}
}

// paramKind is that of the policy, nil as long as there is none.
func (b binding) paramKind(ctx context.Context, env *kind.Env) *admissionregistrationv1.ParamKind {
	policies, err := env.Store(admissionregistrationv1.GroupName, b.policies)
	if err != nil {
		return nil
	}
	policy, err := policies.Get(ctx, b.policy, &metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return paramKindOf(policy)
}

// about is a question for the resource of k. What is not known of it is asked for all.
func about(env *kind.Env, k *admissionregistrationv1.ParamKind) authorizer.AttributesRecord {
	question := authorizer.AttributesRecord{APIGroup: "*", APIVersion: "*", Resource: "*", ResourceRequest: true}
	if k == nil {
		return question
	}
	gv, err := schema.ParseGroupVersion(k.APIVersion)
	if err != nil {
		return question
	}
	question.APIGroup, question.APIVersion = gv.Group, gv.Version
	if resource, err := env.ResourceOf(gv.WithKind(k.Kind)); err == nil {
		question.Resource = resource
	}
	return question
}

// allowed asks for the user of the request; system:masters may do everything.
func allowed(ctx context.Context, env *kind.Env, question authorizer.AttributesRecord) (who string, may bool) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return "", false
	}
	if slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
		return u.GetName(), true
	}
	question.User = u
	decision, _, err := env.Authorizer.Authorize(ctx, question)
	return u.GetName(), err == nil && decision == authorizer.DecisionAllow
}
