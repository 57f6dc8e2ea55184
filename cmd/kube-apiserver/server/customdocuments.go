package server

import (
	"fmt"
	"slices"
	"strings"

	apiextensionshelpers "k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
)

// customDocuments shows the OpenAPI v3 of custom resources, a document a group and version, in the library's place: the
// library's controller goes on showing a version that a definition no longer serves.
type customDocuments struct {
	service *handler3.OpenAPIService
	shown   map[schema.GroupVersion]string // what each document was made of
}

// documentCustom lets the server of custom resources keep the documents from its start on. It comes before another server
// is built upon that one, which takes its hooks.
func documentCustom(extensions *apiextensionsapiserver.CustomResourceDefinitions) (*customDocuments, error) {
	d := &customDocuments{shown: map[schema.GroupVersion]string{}}
	follow := followCustomVersions("crd-openapi-v3", extensions.Informers.Apiextensions().V1().CustomResourceDefinitions(), d.show)
	return d, extensions.GenericAPIServer.AddPostStartHook("custom-openapi-v3", func(hook genericapiserver.PostStartHookContext) error {
		go follow.run(hook)
		return nil
	})
}

// takeOver comes between the preparation of the server, which makes the service, and its start, when the library's
// controller would take it.
func (d *customDocuments) takeOver(s *genericapiserver.GenericAPIServer) {
	d.service, s.OpenAPIV3VersionedService = s.OpenAPIV3VersionedService, nil
}

func (d *customDocuments) show(gv schema.GroupVersion, by []*apiextensionsv1.CustomResourceDefinition) {
	by = slices.DeleteFunc(by, func(crd *apiextensionsv1.CustomResourceDefinition) bool {
		return !apiextensionshelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established)
	})
	slices.SortFunc(by, func(a, b *apiextensionsv1.CustomResourceDefinition) int { return strings.Compare(a.Name, b.Name) })
	var of strings.Builder
	for _, crd := range by {
		_, _ = fmt.Fprintln(&of, crd.UID, crd.Generation, crd.Status.AcceptedNames) // a Builder takes all
	}
	path := "apis/" + gv.String()
	if of.String() == d.shown[gv] {
		return
	}
	if len(by) == 0 {
		delete(d.shown, gv)
		d.service.DeleteGroupVersion(path)
		return
	}
	parts := make([]*spec3.OpenAPI, 0, len(by))
	for _, crd := range by {
		part, err := builder.BuildOpenAPIV3(crd, gv.Version, builder.Options{IncludeSelectableFields: true})
		if err != nil {
			utilruntime.HandleError(fmt.Errorf("OpenAPI v3 of CustomResourceDefinition %s, version %s: %w", crd.Name, gv.Version, err))
			continue
		}
		parts = append(parts, part)
	}
	document, err := builder.MergeSpecsV3(parts...)
	if err != nil {
		utilruntime.HandleError(fmt.Errorf("OpenAPI v3 of %s: %w", gv, err))
		return
	}
	d.service.UpdateGroupVersion(path, document)
	d.shown[gv] = of.String()
}
