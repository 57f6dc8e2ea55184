// Package scaletarget reads and writes the scale subresource of an object of any kind, found by its apiVersion, kind and name.
package scaletarget

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/scale"
)

// Targets finds scales.
type Targets struct {
	Scales scale.ScalesGetter
	Mapper meta.RESTMapper
}

// New returns Targets that act with the credentials of config.
func New(config *rest.Config, d discovery.DiscoveryInterface, mapper meta.RESTMapper) (*Targets, error) {
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d))
	if err != nil {
		return nil, err
	}
	return &Targets{scales, mapper}, nil
}

// Get returns the scale of an object, and the resource under which to update it. A kind that several resources serve is tried
// under each.
func (t *Targets) Get(ctx context.Context, namespace, apiVersion, kind, name string) (*autoscalingv1.Scale, schema.GroupResource, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, schema.GroupResource{}, fmt.Errorf("apiVersion %q of %s %s/%s: %w", apiVersion, kind, namespace, name, err)
	}
	mappings, err := t.Mapper.RESTMappings(schema.GroupKind{Group: gv.Group, Kind: kind})
	if err != nil {
		return nil, schema.GroupResource{}, fmt.Errorf("no resource serves %s %s: %w", apiVersion, kind, err)
	}
	var first error
	for _, mapping := range mappings {
		resource := mapping.Resource.GroupResource()
		found, err := t.Scales.Scales(namespace).Get(ctx, resource, name, metav1.GetOptions{})
		if err == nil {
			return found, resource, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("no resource serves %s %s", apiVersion, kind)
	}
	return nil, schema.GroupResource{}, first
}
