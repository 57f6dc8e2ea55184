package defaulting

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Deployment fills a deployment.
func Deployment(d *appsv1.Deployment) {
	s := &d.Spec
	pointer(&s.Replicas, 1)
	value(&s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		pointer(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		pointer(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		pointer(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	pointer(&s.RevisionHistoryLimit, 10)
	pointer(&s.ProgressDeadlineSeconds, 600)
	PodTemplateSpec(&s.Template)
}
