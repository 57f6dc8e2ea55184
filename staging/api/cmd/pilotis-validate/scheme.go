package main

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/api/validation"
)

// builtin knows the stable kinds of v1.37 and their defaults.
func builtin() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme,
		networkingv1.AddToScheme, discoveryv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme, storagev1.AddToScheme,
		storagemigrationv1.AddToScheme, schedulingv1.AddToScheme, nodev1.AddToScheme, coordinationv1.AddToScheme,
		certificatesv1.AddToScheme, admissionregistrationv1.AddToScheme, flowcontrolv1.AddToScheme, resourcev1.AddToScheme,
		defaulting.Register,
	} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("registering built-in kinds: %w", err)
		}
	}
	return s, nil
}

// prepare does what a server does between defaulting and validation: it gives the object a namespace, a name if it
// asks for one, a job its selector, and a service the list of its one address.
func prepare(obj runtime.Object, namespace string) {
	m, ok := obj.(metav1.Object)
	if !ok {
		return
	}
	if m.GetNamespace() == "" && validation.Namespaced(obj) {
		m.SetNamespace(namespace)
	}
	if m.GetName() == "" && m.GetGenerateName() != "" {
		m.SetName(m.GetGenerateName() + "00000")
	}
	switch o := obj.(type) {
	case *batchv1.Job:
		if (o.Spec.ManualSelector == nil || !*o.Spec.ManualSelector) && o.Spec.Selector == nil {
			ownPods(o)
		}
	case *corev1.Service:
		if o.Spec.ClusterIP != "" && len(o.Spec.ClusterIPs) == 0 {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
		}
	}
}

func ownPods(job *batchv1.Job) {
	uid := types.UID("00000000-0000-0000-0000-000000000000")
	job.UID = uid
	if job.Spec.Template.Labels == nil {
		job.Spec.Template.Labels = map[string]string{}
	}
	job.Spec.Template.Labels[batchv1.ControllerUidLabel] = string(uid)
	job.Spec.Template.Labels[batchv1.JobNameLabel] = job.Name
	job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: string(uid)}}
}
