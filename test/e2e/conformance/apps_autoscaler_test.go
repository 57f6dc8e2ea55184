package conformance

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// autoscaler applies the HorizontalPodAutoscaler web for the Deployment web. It follows metrics both ways at once.
func (s *space) autoscaler(most int, metrics, more string) {
	s.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: %d
  metrics: [%s]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}, %s}
`, most, metrics, more))
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

// busy is a pod template of containers that ask for 100m of cpu and are said to use this much.
func busy(cpu string) string {
	return fmt.Sprintf(`{metadata: {labels: {app: web}, annotations: {cpu.tests.pilotis.dev: %s, requests.tests.pilotis.dev: "20"}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: IMAGE, command: [sleep, "1000"], resources: {requests: {cpu: 10m}}}]}}`, cpu)
}

func TestAutoscalerWithoutMetrics(t *testing.T) {
	s := documented(t)
	s.deployment(2, template("web", "sleep 1000"), "")
	s.autoscaler(5, external(100, 10), "")
	s.conditionOf("AbleToScale", "True SucceededGetScale")
	s.conditionOf("ScalingActive", "False FailedGetExternalMetric")
	if got := s.read("deployment/web", ".spec.replicas"); got != "2" {
		t.Errorf("without a metric the Deployment was sized to %s", got)
	}
}

func TestAutoscalerOfNobody(t *testing.T) {
	s := documented(t)
	s.autoscaler(5, external(100, 10), "")
	s.conditionOf("AbleToScale", "False FailedGetScale")
}

func TestAutoscalerSleepsAtZero(t *testing.T) {
	s := documented(t)
	s.deployment(0, template("web", "sleep 1000"), "")
	s.autoscaler(5, external(100, 10), "")
	s.conditionOf("ScalingActive", "False ScalingDisabled")
	if got := s.read("deployment/web", ".spec.replicas"); got != "0" {
		t.Errorf("a Deployment that was put to sleep has %s replicas", got)
	}
}

// TestAutoscalerKeepsTheBounds needs no metric to bring a Deployment back between minReplicas and maxReplicas.
func TestAutoscalerKeepsTheBounds(t *testing.T) {
	s := documented(t)
	s.deployment(4, neverReady("web"), "")
	s.autoscaler(2, external(100, 10), "")
	s.sizes(2)
	s.kubectl("patch", "hpa", "web", "-p", `{"spec":{"minReplicas":3,"maxReplicas":3}}`)
	s.sizes(3)
}

// servesMetrics makes test/e2e/testserver the server of the cluster's metrics APIs until the test ends.
func (s *space) servesMetrics() {
	s.Helper()
	bundle := s.webhookServer()
	s.kubectl("create", "rolebinding", "server", "--clusterrole=view", "--serviceaccount="+s.Namespace+":default")
	for _, api := range []string{"v1beta1.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"} {
		version, group, _ := strings.Cut(api, ".")
		s.createClusterWide(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}, `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: `+api+`}
spec: {group: `+group+`, version: `+version+`, groupPriorityMinimum: 100, versionPriority: 10, caBundle: `+bundle+`, service: {namespace: `+s.Namespace+`, name: server}}
`)
		s.kubectl("wait", "--for=condition=Available", "apiservice/"+api, "--timeout=90s")
	}
}

// TestAutoscalerFollowsMetrics of each kind. The metrics APIs are the whole cluster's: no test runs beside it.
func TestAutoscalerFollowsMetrics(t *testing.T) {
	s := newSpace(t)
	s.servesMetrics()
	s.deployment(1, busy("25m"), "")
	s.rolledOut(1)

	s.autoscaler(10, external(30, 10), "")
	s.sizes(3)
	s.conditionOf("ScalingActive", "True ValidMetricFound")
	s.conditionOf("ScalingLimited", "False DesiredWithinRange")
	s.rolledOut(3)
	s.shows("10", "hpa/web", ".status.currentMetrics[0].external.current.averageValue")

	s.autoscaler(10, external(32, 10), "") // within the tolerance of a tenth
	s.observed("hpa/web")
	s.sizes(3)
	s.shows(s.read("hpa/web", ".metadata.generation"), "hpa/web", `.status.conditions[?(@.type=="ScalingActive")].observedGeneration`)
	s.autoscaler(4, external(900, 10), "")
	s.sizes(4)
	s.conditionOf("ScalingLimited", "True TooManyReplicas")
	s.autoscaler(10, external(900, 10), "scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 1800}]}") // the rise to 3, and to 4, used it up
	s.conditionOf("ScalingLimited", "True ScaleUpLimit")
	s.autoscaler(10, external(900, 10), "scaleUp: {selectPolicy: Disabled}")
	s.observed("hpa/web")
	s.sizes(4)
	s.autoscaler(10, external(0, 10), "")
	s.sizes(1)
	s.conditionOf("ScalingLimited", "True TooFewReplicas")
	s.rolledOut(1)

	s.autoscaler(10, utilization(100), "") // 25m of the 10m that each asks for
	s.sizes(3)
	s.autoscaler(10, `{type: Object, object: {metric: {name: queue-20}, describedObject: {apiVersion: v1, kind: Service, name: server}, target: {type: AverageValue, averageValue: 10}}}`, "")
	s.sizes(2)
	s.rolledOut(2)
	s.autoscaler(10, `{type: Pods, pods: {metric: {name: requests}, target: {type: AverageValue, averageValue: 10}}}`, "")
	s.sizes(4)
	s.autoscaler(10, external(20, 10)+", "+external(50, 10), "") // the metric that wants most decides
	s.sizes(5)
}
