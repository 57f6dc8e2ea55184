package admission

import (
	"context"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// ownerReferences asks two rights of who changes metadata.ownerReferences: to delete the object, because an owner's end
// deletes it, and to set finalizers of the owner where blockOwnerDeletion lets the object hold up the owner's end.
type ownerReferences struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
	mapper     meta.RESTMapper
}

func newOwnerReferences(io.Reader) (admission.Interface, error) {
	return &ownerReferences{Handler: admission.NewHandler(admission.Create, admission.Update)}, nil
}

// SetUnconditionalAuthorizer implements initializer.WantsUnconditionalAuthorizer.
func (p *ownerReferences) SetUnconditionalAuthorizer(z authorizer.UnconditionalAuthorizer) {
	p.authorizer = z
}

// SetRESTMapper implements initializer.WantsRESTMapper.
func (p *ownerReferences) SetRESTMapper(m meta.RESTMapper) { p.mapper = m }

// ValidateInitialization implements admission.InitializationValidator.
func (p *ownerReferences) ValidateInitialization() error {
	if err := needs(p.authorizer, "an authorizer"); err != nil {
		return err
	}
	return needs(p.mapper, "a REST mapper")
}

// Validate implements admission.ValidationInterface.
func (p *ownerReferences) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if isSub(a, "", "pods", "status") || isSub(a, "", "pods", "ephemeralcontainers") {
		return nil
	}
	now, before := owners(a.GetObject()), owners(a.GetOldObject())
	if slices.EqualFunc(now, before, sameOwner) {
		return nil
	}
	// Who creates an object may say whose it is; who changes it must be able to delete it.
	if a.GetOperation() == admission.Update {
		decision, reason, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: a.GetUserInfo(), Verb: "delete", Namespace: a.GetNamespace(), Name: a.GetName(), ResourceRequest: true,
			APIGroup: a.GetResource().Group, APIVersion: a.GetResource().Version, Resource: a.GetResource().Resource,
		})
		if decision != authorizer.DecisionAllow {
			return admission.NewForbidden(a, fmt.Errorf("cannot set an ownerRef on a resource you can't delete: %v, %v", reason, err))
		}
	}
	for _, ref := range newlyBlocking(now, before) {
		if err := p.mayBlock(ctx, a, ref); err != nil {
			return err
		}
	}
	return nil
}

// mayBlock asks whether the user may update finalizers of the owner.
func (p *ownerReferences) mayBlock(ctx context.Context, a admission.Attributes, ref metav1.OwnerReference) error {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("cannot set blockOwnerDeletion in this case because cannot parse apiVersion of ownerReference %q: %w", ref.Name, err))
	}
	mappings, err := p.mapper.RESTMappings(schema.GroupKind{Group: gv.Group, Kind: ref.Kind}, gv.Version)
	if err != nil || len(mappings) == 0 {
		return admission.NewForbidden(a, fmt.Errorf("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %v Kind %v: %v", ref.APIVersion, ref.Kind, err))
	}
	for _, m := range mappings {
		question := authorizer.AttributesRecord{
			User: a.GetUserInfo(), Verb: "update", Name: ref.Name, Subresource: "finalizers", ResourceRequest: true,
			APIGroup: m.Resource.Group, APIVersion: m.Resource.Version, Resource: m.Resource.Resource,
		}
		if m.Scope.Name() == meta.RESTScopeNameNamespace {
			question.Namespace = a.GetNamespace()
		}
		if decision, reason, err := p.authorizer.Authorize(ctx, question); decision != authorizer.DecisionAllow {
			return admission.NewForbidden(a, fmt.Errorf("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %v, %v", reason, err))
		}
	}
	return nil
}

func owners(obj any) []metav1.OwnerReference {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil
	}
	return m.GetOwnerReferences()
}

func sameOwner(a, b metav1.OwnerReference) bool {
	return a.APIVersion == b.APIVersion && a.Kind == b.Kind && a.Name == b.Name && a.UID == b.UID &&
		isTrue(a.Controller) == isTrue(b.Controller) && isTrue(a.BlockOwnerDeletion) == isTrue(b.BlockOwnerDeletion)
}

func isTrue(b *bool) bool { return b != nil && *b }

// newlyBlocking returns the references that block their owner's deletion and did not before.
func newlyBlocking(now, before []metav1.OwnerReference) []metav1.OwnerReference {
	blocked := map[any]bool{}
	for _, r := range before {
		blocked[r.UID] = isTrue(r.BlockOwnerDeletion)
	}
	var out []metav1.OwnerReference
	for _, r := range now {
		if isTrue(r.BlockOwnerDeletion) && !blocked[r.UID] {
			out = append(out, r)
		}
	}
	return out
}
