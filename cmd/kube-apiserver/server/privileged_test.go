package server

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

func TestPrivilegedFaults(t *testing.T) {
	privileged := &corev1.SecurityContext{Privileged: ptr.To(true)}
	spec := corev1.PodSpec{
		Containers:          []corev1.Container{{Name: "a"}, {Name: "b", SecurityContext: privileged}},
		InitContainers:      []corev1.Container{{Name: "c", SecurityContext: privileged}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{SecurityContext: privileged}}},
	}
	template := corev1.PodTemplateSpec{Spec: spec}
	for prefix, obj := range map[string]runtime.Object{
		"spec":                                &corev1.Pod{Spec: spec},
		"spec.template.spec":                  &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template}},
		"spec.jobTemplate.spec.template.spec": &batchv1.CronJob{Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}}},
	} {
		errs := privilegedFaults(obj)
		if len(errs) != 3 || errs[0].Field != prefix+".containers[1].securityContext.privileged" {
			t.Errorf("%T: %v", obj, errs)
		}
	}
	if errs := privilegedFaults(&corev1.ConfigMap{}); errs != nil {
		t.Errorf("a configmap: %v", errs)
	}
}
