package resources

import (
	"fmt"

	"golang.org/x/sync/errgroup"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"

	"pilotis.dev/api/quantities"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
	"pilotis.dev/cmd/kube-apiserver/resources/listcache"
)

// Group is what one API group serves: version → resource or resource/subresource → storage.
type Group map[string]map[string]rest.Storage

// Open opens the stores of all enabled resources of the table and returns what to serve, by group.
func Open(env *kind.Env, table []kind.Declaration, enabled serverstorage.APIResourceConfigSource) (map[string]Group, error) {
	var open []kind.Declaration
	for _, d := range table {
		if gate := d.RequiredGate(); gate != "" && !env.Gates.Enabled(gate) {
			continue
		}
		if len(versions(d, enabled)) > 0 {
			open = append(open, d)
		}
	}
	stores := make([]*kind.Store, len(open))
	var opening errgroup.Group
	for i, d := range open {
		opening.Go(func() (err error) {
			stores[i], err = d.Open(env)
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return nil, err
	}
	for i, d := range open {
		env.Add(d.GroupResource(), stores[i])
	}
	groups := map[string]Group{}
	for i, d := range open {
		served, err := d.Serve(stores[i], env)
		if err != nil {
			return nil, err
		}
		for _, v := range versions(d, enabled) {
			groups[d.GroupResource().Group] = merge(groups[d.GroupResource().Group], v, served)
		}
	}
	// events.k8s.io serves the Events of the core group in its own shape.
	eventsResource := schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}
	if events, ok := groups[""]["v1"]["events"]; ok && enabled.ResourceEnabled(eventsResource) {
		groups[eventsResource.Group] = merge(nil, eventsResource.Version, map[string]rest.Storage{eventsResource.Resource: events})
	}
	answered, err := unstored(env, enabled)
	if err != nil {
		return nil, err
	}
	for name, served := range answered {
		groups[name] = merge(groups[name], "v1", served)
	}
	return groups, nil
}

func versions(d kind.Declaration, enabled serverstorage.APIResourceConfigSource) []string {
	var out []string
	for _, v := range d.ServedVersions() {
		if enabled.ResourceEnabled(d.GroupResource().WithVersion(v)) {
			out = append(out, v)
		}
	}
	return out
}

func merge(g Group, version string, served map[string]rest.Storage) Group {
	if g == nil {
		g = Group{}
	}
	if g[version] == nil {
		g[version] = map[string]rest.Storage{}
	}
	for name, s := range served {
		g[version][name] = s
	}
	return g
}

// Install serves groups on s, in the given order of discovery.
func Install(s *genericapiserver.GenericAPIServer, env *kind.Env, groups map[string]Group, order []string) error {
	lists := listcache.New(listcache.DefaultBytes)
	var named []*genericapiserver.APIGroupInfo
	for _, name := range order {
		group, ok := groups[name]
		if !ok {
			continue
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(name, env.Types.Scheme, env.Types.Parameters, env.Types.Codecs)
		info.NegotiatedSerializer = quantities.Guard(info.NegotiatedSerializer)
		info.VersionedResourcesStorageMap = group
		info.NegotiatedSerializer = lists.Serve(info.NegotiatedSerializer)
		if name != "" {
			named = append(named, &info)
			continue
		}
		if err := s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, &info); err != nil {
			return fmt.Errorf("serving the core API: %w", err)
		}
	}
	if err := s.InstallAPIGroups(named...); err != nil {
		return fmt.Errorf("serving API groups: %w", err)
	}
	return nil
}
