package server

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// privilegedFaults are the privileged containers of an object, which --allow-privileged=false forbids.
func privilegedFaults(obj runtime.Object) field.ErrorList {
	spec, path := podSpecOf(obj)
	if spec == nil {
		return nil
	}
	var errs field.ErrorList
	check := func(name string, containers []corev1.Container) {
		for i := range containers {
			if c := containers[i].SecurityContext; c != nil && c.Privileged != nil && *c.Privileged {
				errs = append(errs, field.Forbidden(path.Child(name).Index(i).Child("securityContext", "privileged"),
					"disallowed by cluster policy (kube-apiserver runs with --allow-privileged=false)"))
			}
		}
	}
	check("containers", spec.Containers)
	check("initContainers", spec.InitContainers)
	for i := range spec.EphemeralContainers {
		if c := spec.EphemeralContainers[i].SecurityContext; c != nil && c.Privileged != nil && *c.Privileged {
			errs = append(errs, field.Forbidden(path.Child("ephemeralContainers").Index(i).Child("securityContext", "privileged"),
				"disallowed by cluster policy (kube-apiserver runs with --allow-privileged=false)"))
		}
	}
	return errs
}

// podSpecOf finds the pod of an object that has one or makes one.
func podSpecOf(obj runtime.Object) (*corev1.PodSpec, *field.Path) {
	template := field.NewPath("spec", "template", "spec")
	switch o := obj.(type) {
	case *corev1.Pod:
		return &o.Spec, field.NewPath("spec")
	case *corev1.PodTemplate:
		return &o.Template.Spec, field.NewPath("template", "spec")
	case *corev1.ReplicationController:
		if o.Spec.Template != nil {
			return &o.Spec.Template.Spec, template
		}
	case *appsv1.Deployment:
		return &o.Spec.Template.Spec, template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template.Spec, template
	case *appsv1.StatefulSet:
		return &o.Spec.Template.Spec, template
	case *appsv1.DaemonSet:
		return &o.Spec.Template.Spec, template
	case *batchv1.Job:
		return &o.Spec.Template.Spec, template
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template.Spec, field.NewPath("spec", "jobTemplate", "spec", "template", "spec")
	}
	return nil, nil
}
