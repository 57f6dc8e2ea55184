package api

import (
	"fmt"
	admissionregistrationv1alpha1 "k8s.io/api/admissionregistration/v1alpha1"
	admissionregistrationv1beta1 "k8s.io/api/admissionregistration/v1beta1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	coordinationv1alpha2 "k8s.io/api/coordination/v1alpha2"
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	resourcev1beta1 "k8s.io/api/resource/v1beta1"
	resourcev1beta2 "k8s.io/api/resource/v1beta2"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	storagemigrationv1beta1 "k8s.io/api/storagemigration/v1beta1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	baseversion "k8s.io/component-base/version"
	"reflect"
	"strings"

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

// group is one API group.
type group struct {
	// versions in order of preference; of alpha and beta versions, the kinds that this release still serves.
	versions []version
	// hubs: a kind's hub is its type in the first of these versions that has it.
	hubs []schema.GroupVersion
	// convert registers the conversions between a hub and its other versions; by default they are alike.
	convert func(*runtime.Scheme) error
}

type version struct {
	schema.GroupVersion
	add func(*runtime.Scheme) error
}

func one(add func(*runtime.Scheme) error, gv schema.GroupVersion) group {
	return several(version{gv, add})
}

// several is a group of versions that are written alike. The first that has a kind is the kind's hub.
func several(versions ...version) group {
	g := group{versions: versions}
	for _, v := range versions {
		g.hubs = append(g.hubs, v.GroupVersion)
	}
	return g
}

func groups() []group {
	scheduling := several(
		version{schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme},
		version{schedulingv1beta1.SchemeGroupVersion, schedulingv1beta1.AddToScheme},
		version{schedulingv1alpha3.SchemeGroupVersion, schedulingv1alpha3.AddToScheme})
	// v1alpha3 has all kinds of pod groups, and their rules of validation.
	scheduling.hubs = []schema.GroupVersion{schedulingv1.SchemeGroupVersion, schedulingv1alpha3.SchemeGroupVersion}
	autoscaling := several(version{autoscalingv2.SchemeGroupVersion, autoscalingv2.AddToScheme}, version{autoscalingv1.SchemeGroupVersion, autoscalingv1.AddToScheme})
	autoscaling.convert = addAutoscaling
	return []group{
		one(corev1.AddToScheme, corev1.SchemeGroupVersion),
		several(
			version{admissionregistrationv1.SchemeGroupVersion, admissionregistrationv1.AddToScheme},
			version{admissionregistrationv1beta1.SchemeGroupVersion, admissionregistrationv1beta1.AddToScheme},
			version{admissionregistrationv1alpha1.SchemeGroupVersion, admissionregistrationv1alpha1.AddToScheme}),
		one(apiserverinternalv1alpha1.AddToScheme, apiserverinternalv1alpha1.SchemeGroupVersion),
		one(appsv1.AddToScheme, appsv1.SchemeGroupVersion),
		one(authenticationv1.AddToScheme, authenticationv1.SchemeGroupVersion),
		one(authorizationv1.AddToScheme, authorizationv1.SchemeGroupVersion),
		autoscaling,
		one(batchv1.AddToScheme, batchv1.SchemeGroupVersion),
		several(
			version{certificatesv1.SchemeGroupVersion, certificatesv1.AddToScheme},
			version{certificatesv1beta1.SchemeGroupVersion, certificatesv1beta1.AddToScheme}),
		several(
			version{coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme},
			version{coordinationv1beta1.SchemeGroupVersion, coordinationv1beta1.AddToScheme},
			version{coordinationv1alpha2.SchemeGroupVersion, coordinationv1alpha2.AddToScheme}),
		one(discoveryv1.AddToScheme, discoveryv1.SchemeGroupVersion),
		{ // the hub of this group's Event is core/v1's: one storage, two served groups
			versions: []version{{eventsv1.SchemeGroupVersion, eventsv1.AddToScheme}},
			convert:  addEvents,
		},
		one(flowcontrolv1.AddToScheme, flowcontrolv1.SchemeGroupVersion),
		one(lifecyclev1alpha1.AddToScheme, lifecyclev1alpha1.SchemeGroupVersion),
		one(networkingv1.AddToScheme, networkingv1.SchemeGroupVersion),
		one(nodev1.AddToScheme, nodev1.SchemeGroupVersion),
		one(policyv1.AddToScheme, policyv1.SchemeGroupVersion),
		one(rbacv1.AddToScheme, rbacv1.SchemeGroupVersion),
		several(
			version{resourcev1.SchemeGroupVersion, resourcev1.AddToScheme},
			version{resourcev1beta2.SchemeGroupVersion, resourcev1beta2.AddToScheme},
			version{resourcev1beta1.SchemeGroupVersion, resourcev1beta1.AddToScheme},
			version{resourcev1alpha3.SchemeGroupVersion, resourcev1alpha3.AddToScheme}),
		scheduling,
		one(storagev1.AddToScheme, storagev1.SchemeGroupVersion),
		several(
			version{storagemigrationv1.SchemeGroupVersion, storagemigrationv1.AddToScheme},
			version{storagemigrationv1beta1.SchemeGroupVersion, storagemigrationv1beta1.AddToScheme}),
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
		metainternalversion.AddToScheme, addHubs, addConversions, addFieldLabels, addQueryConversions,
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
		var order []schema.GroupVersion
		for _, v := range g.versions {
			if err := v.register(s); err != nil {
				return fmt.Errorf("registering %s: %w", v.GroupVersion, err)
			}
			order = append(order, v.GroupVersion)
		}
		if err := s.SetVersionPriority(order...); err != nil {
			return fmt.Errorf("registering API types: %w", err)
		}
	}
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, v1)
	s.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	return nil
}

// removable is implemented by the types of alpha and beta versions.
type removable interface {
	APILifecycleRemoved() (major, minor int)
}

// register adds the kinds of a version to s but for those that this release no longer serves.
func (v version) register(s *runtime.Scheme) error {
	if !strings.ContainsAny(v.Version, "ab") {
		return v.add(s)
	}
	all := runtime.NewScheme()
	if err := v.add(all); err != nil {
		return err
	}
	release := utilversion.MustParse(baseversion.DefaultKubeBinaryVersion)
	for kind, t := range all.KnownTypes(v.GroupVersion) {
		obj := reflect.New(t).Interface().(runtime.Object)
		if r, ok := obj.(removable); ok {
			if major, minor := r.APILifecycleRemoved(); release.AtLeast(utilversion.MajorMinor(uint(major), uint(minor))) {
				continue
			}
		}
		if !ofMachinery(t) {
			s.AddKnownTypeWithName(v.WithKind(kind), obj)
		}
	}
	metav1.AddToGroupVersion(s, v.GroupVersion)
	return nil
}
