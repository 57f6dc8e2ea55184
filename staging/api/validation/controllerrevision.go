package validation

import appsv1 "k8s.io/api/apps/v1"

func controllerRevisionCreate(r *appsv1.ControllerRevision) *faults {
	f := metadata(&r.ObjectMeta, namespaced, subdomainName)
	if r.Data.Raw == nil && r.Data.Object == nil {
		f.required(nil, "data", "data is mandatory")
	}
	f.notNegative(nil, "revision", r.Revision)
	return f
}

func controllerRevisionUpdate(r, old *appsv1.ControllerRevision) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	f.notNegative(nil, "revision", r.Revision)
	f.immutable(nil, "data", r.Data, old.Data)
	return f
}
