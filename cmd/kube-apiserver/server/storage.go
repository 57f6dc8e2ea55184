package server

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"

	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
	"pilotis.dev/pkg/api"
)

// defaultResources switches on what is generally available and knows the rest; --runtime-config changes it.
func defaultResources() *serverstorage.ResourceConfig {
	c := serverstorage.NewResourceConfig()
	for _, gv := range servedVersions() {
		if strings.ContainsAny(gv.Version, "ab") { // v1beta1, v1alpha2
			c.DisableVersions(gv)
		} else {
			c.EnableVersions(gv)
		}
	}
	return c
}

// servedVersions lists every version by preference: the order of /apis and of APIService priorities.
func servedVersions() []schema.GroupVersion {
	var out []schema.GroupVersion
	for _, g := range groupOrder() {
		for _, v := range g.versions {
			out = append(out, schema.GroupVersion{Group: g.name, Version: v})
		}
	}
	return out
}

// applyStorage says how and where objects lie in etcd: /registry/<place>[/namespace]/name in protobuf.
func (c *config) applyStorage() error {
	o := c.options.Etcd
	config := o.StorageConfig
	config.StorageObjectCountTracker = c.generic.StorageObjectCountTracker
	encoding := serverstorage.NewDefaultResourceEncodingConfigForEffectiveVersion(c.types.Scheme, c.generic.EffectiveVersion)
	factory := serverstorage.NewDefaultStorageFactory(config, o.DefaultStorageMediaType, c.types.Codecs, encoding,
		c.generic.MergedResourceConfig, places())
	factory.AddCohabitatingResources(schema.GroupResource{Resource: "events"}, schema.GroupResource{Group: "events.k8s.io", Resource: "events"})
	overrides, err := options.ParseEtcdServersOverrides(o.EtcdServersOverrides)
	if err != nil {
		return err
	}
	for _, override := range overrides {
		factory.SetEtcdLocation(override.GroupResource, override.Servers)
	}
	c.storage = factory
	if err := o.ApplyWithStorageFactoryTo(api.StripTypeMeta(factory), c.generic); err != nil {
		return err
	}
	c.generic.RESTOptionsGetter, err = withCaches(c.generic.RESTOptionsGetter, o)
	return err
}

// places are the directories under /registry that are not called like the resource.
func places() map[schema.GroupResource]string {
	return map[schema.GroupResource]string{
		{Resource: "replicationcontrollers"}:                "controllers",
		{Resource: "endpoints"}:                             "services/endpoints",
		{Resource: "services"}:                              "services/specs",
		{Resource: "nodes"}:                                 "minions",
		{Group: "networking.k8s.io", Resource: "ingresses"}: "ingress",
	}
}

// rawStorage opens a place in etcd that is no API resource.
func (c *config) rawStorage(resource schema.GroupResource, newFunc, newListFunc func() runtime.Object, prefix string) (storage.Interface, error) {
	config, err := c.storage.NewConfig(resource, newFunc())
	if err != nil {
		return nil, err
	}
	s, destroy, err := factory.Create(*config, newFunc, newListFunc, prefix)
	if err != nil {
		return nil, err
	}
	go func() {
		<-c.generic.DrainedNotify()
		destroy()
	}()
	return s, nil
}

// applyServices opens the books of service addresses and node ports.
func (c *config) applyServices() error {
	s, err := c.rawStorage(corev1.Resource("servicenodeportallocations"), func() runtime.Object { return &corev1.RangeAllocation{} }, nil, "/ranges/servicenodeports")
	if err != nil {
		return err
	}
	c.ports = serviceip.NewPorts(c.options.Services.NodePorts, s)
	c.addresses, err = serviceip.New(c.options.Services.Ranges(), c.ports)
	return err
}
