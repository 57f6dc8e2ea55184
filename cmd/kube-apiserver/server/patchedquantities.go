package server

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"pilotis.dev/api/quantities"
)

// merged are the kinds of patches that k8s.io/apiserver turns into an object without one of the server's serializers, and the
// form they have. What the others make of an object is decoded, and guarded there (resources.Install).
var merged = map[types.PatchType]string{
	types.StrategicMergePatchType: runtime.ContentTypeJSON,
	types.ApplyYAMLPatchType:      runtime.ContentTypeYAML,
	types.ApplyCBORPatchType:      runtime.ContentTypeCBOR,
}

// guardPatches puts a check of quantities in patches between the handler chain, which knows who asks and whether he may, and
// the API.
func (c *config) guardPatches() {
	kinds := map[schema.GroupVersionResource]schema.GroupVersionKind{}
	for gvk := range c.types.Served.AllKnownTypes() {
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		kinds[plural] = gvk
	}
	wrapAPI(c.generic, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				if err := c.checkPatch(r, kinds); err != nil {
					responsewriters.ErrorNegotiated(err, c.generic.Serializer, schema.GroupVersion{}, w, r)
					return
				}
			}
			api.ServeHTTP(w, r)
		})
	})
}

// checkPatch reads the body of a patch, and puts it back.
func (c *config) checkPatch(r *http.Request, kinds map[schema.GroupVersionResource]schema.GroupVersionKind) error {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok {
		return nil
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";") // as k8s.io/apiserver reads it
	form, ok := merged[types.PatchType(mediaType)]
	if !ok {
		return nil
	}
	kind, ok := kinds[schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}]
	if !ok {
		return nil // of a custom resource, or of an aggregated server
	}
	object, err := c.types.Served.New(kind)
	if err != nil {
		return err
	}
	// A body that is larger is refused by who reads the rest.
	patch, err := io.ReadAll(io.LimitReader(r.Body, c.generic.MaxRequestBodyBytes))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failing{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(patch), rest), r.Body}
	if err := quantities.InPatch(form, patch, object); err != nil {
		return errors.NewBadRequest(err.Error())
	}
	return nil
}

// failing tells the error of a body again.
type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
