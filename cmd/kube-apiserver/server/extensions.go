package server

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	crdoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
)

// newExtensions serves CustomResourceDefinitions and, by them, custom resources.
func (c *config) newExtensions(next genericapiserver.DelegationTarget) (*apiextensionsapiserver.CustomResourceDefinitions, error) {
	generic, etcd, err := c.derived(apiextensionsapiserver.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion),
		runtime.NewMultiGroupVersioner(apiextensionsv1.SchemeGroupVersion))
	if err != nil {
		return nil, err
	}
	generic.MergedResourceConfig = apiextensionsapiserver.DefaultAPIResourceConfigSource()
	config := apiextensionsapiserver.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: generic, SharedInformerFactory: c.informers},
		ExtraConfig: apiextensionsapiserver.ExtraConfig{
			CRDRESTOptionsGetter: crdoptions.NewCRDRESTOptionsGetter(etcd, c.generic.ResourceTransformers, c.generic.StorageObjectCountTracker),
			MasterCount:          c.options.APIServerCount,
			ServiceResolver:      c.resolver,
			AuthResolverWrapper:  c.webhookAuth(),
		},
	}
	return config.Complete().New(next)
}

// derived is the shared configuration for another server of the chain: same doors, other types.
func (c *config) derived(codec runtime.Codec, versioner runtime.GroupVersioner) (genericapiserver.Config, options.EtcdOptions, error) {
	generic := *c.generic
	generic.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	generic.RESTOptionsGetter = nil
	etcd := *c.options.Etcd
	etcd.StorageConfig.Codec = codec
	etcd.StorageConfig.EncodeVersioner = versioner
	etcd.StorageConfig.StorageObjectCountTracker = c.generic.StorageObjectCountTracker
	etcd.SkipHealthEndpoints = true
	if err := etcd.ApplyTo(&generic); err != nil {
		return generic, etcd, err
	}
	return generic, etcd, nil
}
