package api

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Types is the type system of one server.
type Types struct {
	// Scheme serves and stores: every served version, and the hub types as "__internal".
	// Clients must not use it: they decode into the hub version and would lose apiVersion and kind.
	Scheme *runtime.Scheme
	// Served knows the served versions only; OpenAPI takes its group, version and kind from here.
	Served *runtime.Scheme
	// Codecs encode and decode Scheme.
	Codecs serializer.CodecFactory
	// Parameters decodes query parameters into option types.
	Parameters runtime.ParameterCodec
}

// group is one API group: its served versions in order of preference and the hub among them.
type group struct {
	add      []func(*runtime.Scheme) error
	versions []schema.GroupVersion
	hub      schema.GroupVersion
}

func one(add func(*runtime.Scheme) error, gv schema.GroupVersion) group {
	return group{add: []func(*runtime.Scheme) error{add}, versions: []schema.GroupVersion{gv}, hub: gv}
}

func groups() []group {
	return []group{
		one(corev1.AddToScheme, corev1.SchemeGroupVersion),
		one(admissionregistrationv1.AddToScheme, admissionregistrationv1.SchemeGroupVersion),
		one(appsv1.AddToScheme, appsv1.SchemeGroupVersion),
		one(authenticationv1.AddToScheme, authenticationv1.SchemeGroupVersion),
		one(authorizationv1.AddToScheme, authorizationv1.SchemeGroupVersion),
		{
			add:      []func(*runtime.Scheme) error{autoscalingv2.AddToScheme, autoscalingv1.AddToScheme},
			versions: []schema.GroupVersion{autoscalingv2.SchemeGroupVersion, autoscalingv1.SchemeGroupVersion},
			hub:      autoscalingv2.SchemeGroupVersion,
		},
		one(batchv1.AddToScheme, batchv1.SchemeGroupVersion),
		one(certificatesv1.AddToScheme, certificatesv1.SchemeGroupVersion),
		one(coordinationv1.AddToScheme, coordinationv1.SchemeGroupVersion),
		one(discoveryv1.AddToScheme, discoveryv1.SchemeGroupVersion),
		{ // the hub of this group's Event is core/v1's: one storage, two served groups
			add:      []func(*runtime.Scheme) error{eventsv1.AddToScheme},
			versions: []schema.GroupVersion{eventsv1.SchemeGroupVersion},
		},
		one(flowcontrolv1.AddToScheme, flowcontrolv1.SchemeGroupVersion),
		one(networkingv1.AddToScheme, networkingv1.SchemeGroupVersion),
		one(nodev1.AddToScheme, nodev1.SchemeGroupVersion),
		one(policyv1.AddToScheme, policyv1.SchemeGroupVersion),
		one(rbacv1.AddToScheme, rbacv1.SchemeGroupVersion),
		one(resourcev1.AddToScheme, resourcev1.SchemeGroupVersion),
		one(schedulingv1.AddToScheme, schedulingv1.SchemeGroupVersion),
		one(storagev1.AddToScheme, storagev1.SchemeGroupVersion),
		one(storagemigrationv1.AddToScheme, storagemigrationv1.SchemeGroupVersion),
	}
}

// NewTypes returns the types that kube-apiserver serves; extra registers what lives elsewhere, such as defaults.
func NewTypes(extra ...func(*runtime.Scheme) error) (*Types, error) {
	t := &Types{Scheme: runtime.NewScheme(), Served: runtime.NewScheme()}
	for _, s := range []*runtime.Scheme{t.Served, t.Scheme} {
		if err := addServed(s); err != nil {
			return nil, err
		}
	}
	steps := append([]func(*runtime.Scheme) error{
		metainternalversion.AddToScheme, addHubs, addAutoscaling, addEvents, addFieldLabels, addQueryConversions,
	}, extra...)
	for _, step := range steps {
		if err := step(t.Scheme); err != nil {
			return nil, fmt.Errorf("registering API types: %w", err)
		}
	}
	t.Codecs = serializer.NewCodecFactory(t.Scheme)
	t.Parameters = runtime.NewParameterCodec(t.Scheme)
	return t, nil
}

func addServed(s *runtime.Scheme) error {
	for _, g := range groups() {
		for _, add := range g.add {
			if err := add(s); err != nil {
				return fmt.Errorf("registering API types: %w", err)
			}
		}
		if err := s.SetVersionPriority(g.versions...); err != nil {
			return fmt.Errorf("registering API types: %w", err)
		}
	}
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, v1)
	s.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	return nil
}
