package certificates

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// approval serves the subresource by which a request is approved or denied; it changes nothing but the conditions.
func approval(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
	st := approvalStrategy{RESTUpdateStrategy: store.UpdateStrategy, rules: env.Rules}
	return map[string]rest.Storage{"approval": kind.NewUpdater(store, st, approvalOwned())}, nil
}

type approvalStrategy struct {
	rest.RESTUpdateStrategy
	rules kind.Rules
}

func (approvalStrategy) PrepareForUpdate(_ context.Context, o, oldO runtime.Object) {
	r, old := o.(*certificatesv1.CertificateSigningRequest), oldO.(*certificatesv1.CertificateSigningRequest)
	conditions := r.Status.Conditions
	r.Spec, r.Status = old.Spec, old.Status
	r.Status.Conditions = conditions
	stamp(r, old)
}

func (s approvalStrategy) ValidateUpdate(_ context.Context, o, old runtime.Object) field.ErrorList {
	return s.rules.Subresource("approval", o, old)
}

func (approvalStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func approvalOwned() map[fieldpath.APIVersion]fieldpath.Filter {
	return fieldpath.NewExcludeFilterSetMap(map[fieldpath.APIVersion]*fieldpath.Set{
		"certificates.k8s.io/v1": fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("status", "certificate")),
	})
}
