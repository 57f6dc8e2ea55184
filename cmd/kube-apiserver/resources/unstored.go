package resources

import (
	"k8s.io/apiserver/pkg/registry/rest"
	serverstorage "k8s.io/apiserver/pkg/server/storage"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/cmd/kube-apiserver/resources/authentication"
	"pilotis.dev/cmd/kube-apiserver/resources/authorization"
	"pilotis.dev/cmd/kube-apiserver/resources/core"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// unstored is what is answered and not kept: reviews, the old collective binding, component statuses.
func unstored(env *kind.Env, enabled serverstorage.APIResourceConfigSource) (map[string]map[string]rest.Storage, error) {
	bindings, err := core.Bindings(env)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]rest.Storage{
		"":                      {"bindings": bindings, "componentstatuses": core.ComponentStatuses(env)},
		"authentication.k8s.io": authentication.Reviews(env),
		"authorization.k8s.io":  authorization.Reviews(env),
	}
	for group, served := range all {
		for name := range served {
			if !enabled.ResourceEnabled(schema.GroupVersionResource{Group: group, Version: "v1", Resource: name}) {
				delete(served, name)
			}
		}
	}
	return all, nil
}
