package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// autoscaler applies the HorizontalPodAutoscaler web for the Deployment web. It follows metrics both ways at once, if behavior
// says nothing else.
func (s *space) autoscaler(most int, metrics, behavior string) {
	s.Helper()
	if !strings.Contains(behavior, "scaleDown") {
		behavior = "scaleDown: {stabilizationWindowSeconds: 0}, " + behavior
	}
	s.apply(fmt.Sprintf(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: %d
  metrics: [%s]
  behavior: {%s}
`, most, metrics, behavior))
}

// external is a metric that testserver reads from its name; the target is an average for each pod.
func external(value, target int) string {
	return fmt.Sprintf(`{type: External, external: {metric: {name: queue-%d}, target: {type: AverageValue, averageValue: %d}}}`, value, target)
}

// utilization is the metric of cpu.
func utilization(percent int) string {
	return fmt.Sprintf(`{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: %d}}}`, percent)
}

// conditionOf waits until the autoscaler has the condition with this status and reason.
func (s *space) conditionOf(condition, want string) {
	s.Helper()
	path := fmt.Sprintf(`.status.conditions[?(@.type==%q)]`, condition)
	s.shows(want, "hpa/web", path+".status} {"+path+".reason")
}

// sizes waits until the autoscaler has made the Deployment so large.
func (s *space) sizes(replicas int) {
	s.Helper()
	s.shows(fmt.Sprint(replicas), "deployment/web", ".spec.replicas")
}

func TestAutoscalerWithoutMetrics(t *testing.T) {
	s := documented(t, "[sig-autoscaling] HorizontalPodAutoscaler should say that a metric cannot be had and leave the size alone")
	s.deployment(2, template("web", "sleep 1000"), "")
	s.autoscaler(5, external(100, 10), "")
	s.conditionOf("AbleToScale", "True SucceededGetScale")
	s.conditionOf("ScalingActive", "False FailedGetExternalMetric")
	if got := s.read("deployment/web", ".spec.replicas"); got != "2" {
		t.Errorf("without a metric the Deployment was sized to %s", got)
	}
}

func TestAutoscalerOfNobody(t *testing.T) {
	s := documented(t, "[sig-autoscaling] HorizontalPodAutoscaler should say that its target cannot be found")
	s.autoscaler(5, external(100, 10), "")
	s.conditionOf("AbleToScale", "False FailedGetScale")
}

func TestAutoscalerSleepsAtZero(t *testing.T) {
	s := documented(t, "[sig-autoscaling] HorizontalPodAutoscaler should leave alone a workload that was put to zero replicas")
	s.deployment(0, template("web", "sleep 1000"), "")
	s.autoscaler(5, external(100, 10), "")
	s.conditionOf("ScalingActive", "False ScalingDisabled")
	if got := s.read("deployment/web", ".spec.replicas"); got != "0" {
		t.Errorf("a Deployment that was put to sleep has %s replicas", got)
	}
}

// TestAutoscalerKeepsTheBounds needs no metric to bring a Deployment back between minReplicas and maxReplicas.
func TestAutoscalerKeepsTheBounds(t *testing.T) {
	s := documented(t, "[sig-autoscaling] HorizontalPodAutoscaler should bring a workload between minReplicas and maxReplicas without any metric")
	s.deployment(4, neverReady("web"), "")
	s.autoscaler(2, external(100, 10), "")
	s.sizes(2)
	s.kubectl("patch", "hpa", "web", "-p", `{"spec":{"minReplicas":3,"maxReplicas":3}}`)
	s.sizes(3)
}

func TestTwoAutoscalersOfOneTarget(t *testing.T) {
	s := documented(t, "[sig-autoscaling] HorizontalPodAutoscaler should not size pods that another autoscaler sizes too")
	s.deployment(2, template("web", "sleep 1000"), "")
	s.rolledOut(2)
	s.autoscaler(5, external(100, 10), "")
	s.kubectl("autoscale", "deployment", "web", "--name=other", "--min=2", "--max=5", "--cpu=50%")
	s.tells("HorizontalPodAutoscaler/other", "AmbiguousSelector", "web")
	s.conditionOf("ScalingActive", "False AmbiguousSelector")
	s.kubectl("delete", "hpa", "other")
	s.conditionOf("ScalingActive", "False FailedGetExternalMetric")
}
