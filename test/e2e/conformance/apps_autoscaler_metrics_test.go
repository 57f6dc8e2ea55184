package conformance

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// servesMetrics makes test/e2e/testserver the server of the cluster's metrics APIs until the test ends.
func (s *space) servesMetrics() {
	s.Helper()
	bundle := s.webhookServer()
	s.createClusterWide(schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: SPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: SPACE}]
`)
	for _, api := range []string{"v1beta1.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"} {
		version, group, _ := strings.Cut(api, ".")
		s.createClusterWide(apiServices, `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: `+api+`}
spec: {group: `+group+`, version: `+version+`, groupPriorityMinimum: 100, versionPriority: 10, caBundle: `+bundle+`, service: {namespace: `+s.Namespace+`, name: server}}
`)
		s.kubectl("wait", "--for=condition=Available", "apiservice/"+api, "--timeout=90s")
	}
}

// busy is a pod template of a container c, which asks for 10m of cpu and is said to use this much, and of more containers.
func busy(cpu, more string) string {
	return fmt.Sprintf(`{metadata: {labels: {app: web}, annotations: {cpu.tests.pilotis.dev: %s, cpu.tests.pilotis.dev/idle: 0m, requests.tests.pilotis.dev: "20"}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: IMAGE, command: [sleep, "1000"], resources: {requests: {cpu: 10m}}}%s]}}`, cpu, more)
}

// works runs the Deployment web with so many pods of busy.
func (s *space) works(replicas int, cpu string) {
	s.Helper()
	s.deployment(replicas, busy(cpu, ""), "")
	s.rolledOut(replicas)
}

// staysAt checks that the autoscaler, which was told of a change, leaves the size alone.
func (s *space) staysAt(replicas int) {
	s.Helper()
	s.observed("hpa/web")
	s.steady(fmt.Sprintf("a size of %d", replicas), func() (any, bool) {
		got := s.read("deployment/web", ".spec.replicas")
		return got, got == fmt.Sprint(replicas)
	})
}

// TestAutoscalerFollowsMetrics of each kind. The metrics APIs are the whole cluster's: no test runs beside these.
func TestAutoscalerFollowsMetrics(t *testing.T) {
	newSpace(t).servesMetrics()
	for name, test := range map[string]struct {
		run        func(*space)
		behaviours []string
	}{
		"utilization":        {byUtilization, []string{"should follow the utilization of what pods request", "should follow the average value of a resource"}},
		"container":          {byContainer, []string{"should follow the resources of one container of the pods"}},
		"pods":               {byPodsMetric, []string{"should follow a metric of the pods"}},
		"object":             {byObject, []string{"should follow a metric of another object, whole and as an average"}},
		"external":           {byExternal, []string{"should follow an external metric, whole and as an average"}},
		"several":            {bySeveral, []string{"should take the largest size that one of several metrics asks for", "should go up and not down while one of several metrics cannot be had"}},
		"missing":            {withoutSamples, []string{"should assume of pods without a sample that they change the size less"}},
		"tolerance":          {withinTolerance, []string{"should leave the size alone within the tolerance of a tenth", "should leave the size alone within the tolerance that its behavior sets"}},
		"bounds":             {withinBounds, []string{"should stay between minReplicas and maxReplicas and say which of them limits it"}},
		"scale_up":           {upByPolicies, []string{"should go up no faster than its policies let it"}},
		"scale_down":         {downByPolicies, []string{"should go down no faster than its policies let it"}},
		"stabilization_up":   {stabilizedUp, []string{"should go up to the lowest recommendation of the stabilization window"}},
		"stabilization_down": {stabilizedDown, []string{"should go down to the highest recommendation of the stabilization window"}},
		"custom_object":      {sizesCustomObject, []string{"should size custom objects through their scale subresource"}},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, b := range test.behaviours {
				names = append(names, "[sig-autoscaling] HorizontalPodAutoscaler "+b)
			}
			test.run(documented(t, names...))
		})
	}
}

func byUtilization(s *space) {
	s.works(1, "25m")
	s.autoscaler(5, utilization(100), "")
	s.sizes(3)
	s.shows("250 25m", "hpa/web", ".status.currentMetrics[0].resource.current['averageUtilization','averageValue']")
	s.autoscaler(5, `{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 200m}}}`, "")
	s.sizes(1)
	s.shows("25m", "hpa/web", ".status.currentMetrics[0].resource.current.averageValue")
}

// byContainer: the pods as a whole use 125 % of what they ask for.
func byContainer(s *space) {
	s.deployment(1, busy("25m", `, {name: idle, image: IMAGE, command: [sleep, "1000"], resources: {requests: {cpu: 10m}}}`), "")
	s.rolledOut(1)
	s.autoscaler(3, utilization(125), "")
	s.conditionOf("ScalingActive", "True ValidMetricFound")
	s.staysAt(1)
	s.autoscaler(5, `{type: ContainerResource, containerResource: {name: cpu, container: c, target: {type: Utilization, averageUtilization: 125}}}`, "")
	s.sizes(2)
	s.shows("250", "hpa/web", ".status.currentMetrics[0].containerResource.current.averageUtilization")
}

func byPodsMetric(s *space) {
	s.works(2, "1m")
	s.autoscaler(5, `{type: Pods, pods: {metric: {name: requests}, target: {type: AverageValue, averageValue: 10}}}`, "")
	s.sizes(4)
	s.shows("20", "hpa/web", ".status.currentMetrics[0].pods.current.averageValue")
}

func byObject(s *space) {
	const metric = `{type: Object, object: {metric: {name: queue-20}, describedObject: {apiVersion: v1, kind: Service, name: server}, target: {%s}}}`
	s.works(1, "1m")
	s.autoscaler(5, fmt.Sprintf(metric, "type: AverageValue, averageValue: 10"), "")
	s.sizes(2)
	s.rolledOut(2)
	s.autoscaler(5, fmt.Sprintf(metric, "type: Value, value: 40"), "")
	s.sizes(1)
	s.shows("20", "hpa/web", ".status.currentMetrics[0].object.current.value")
}

func byExternal(s *space) {
	s.works(1, "1m")
	s.autoscaler(5, external(30, 10), "")
	s.sizes(3)
	s.conditionOf("ScalingLimited", "False DesiredWithinRange")
	s.tells("HorizontalPodAutoscaler/web", "SuccessfulRescale", "New size: 3")
	s.rolledOut(3)
	s.shows("10", "hpa/web", ".status.currentMetrics[0].external.current.averageValue")
	s.autoscaler(5, `{type: External, external: {metric: {name: queue-30}, target: {type: Value, value: 90}}}`, "")
	s.sizes(1)
	s.shows("30", "hpa/web", ".status.currentMetrics[0].external.current.value")
}

func bySeveral(s *space) {
	s.works(1, "1m")
	s.autoscaler(5, external(20, 10)+", "+external(40, 10), "")
	s.sizes(4)
	const missing = `, {type: External, external: {metric: {name: nothing}, target: {type: AverageValue, averageValue: 10}}}`
	s.autoscaler(5, external(50, 10)+missing, "")
	s.sizes(5)
	s.conditionOf("ScalingActive", "True ValidMetricFound")
	s.rolledOut(5)
	s.autoscaler(5, external(10, 10)+missing, "")
	s.conditionOf("ScalingActive", "False FailedGetExternalMetric")
	s.staysAt(5)
}

func withoutSamples(s *space) {
	s.works(3, "2m")
	pod := s.names("pods", "app=web")[0]
	s.kubectl("annotate", "pod", pod, "cpu.tests.pilotis.dev-", "cpu.tests.pilotis.dev/idle-")
	s.autoscaler(5, utilization(40), "") // that one is assumed to use all of its 10m, together 46 %
	s.conditionOf("ScalingActive", "True ValidMetricFound")
	s.staysAt(3)
	s.autoscaler(5, utilization(10), "") // and nothing, together 13 %
	s.tells("HorizontalPodAutoscaler/web", "SuccessfulRescale", "New size: 4")
}

func withinTolerance(s *space) {
	s.works(2, "1m")
	s.autoscaler(5, external(21, 10), "")
	s.conditionOf("ScalingActive", "True ValidMetricFound")
	s.staysAt(2)
	s.autoscaler(5, external(30, 10), "scaleUp: {tolerance: 600m}")
	s.staysAt(2)
	s.autoscaler(5, external(30, 10), "scaleUp: {tolerance: 400m}")
	s.sizes(3)
}

func withinBounds(s *space) {
	s.works(1, "1m")
	s.autoscaler(2, external(900, 10), "")
	s.sizes(2)
	s.conditionOf("ScalingLimited", "True TooManyReplicas")
	s.autoscaler(2, external(0, 10), "")
	s.sizes(1)
	s.conditionOf("ScalingLimited", "True TooFewReplicas")
}

// upByPolicies counts from the size of half an hour ago, two pods.
func upByPolicies(s *space) {
	s.works(2, "1m")
	s.autoscaler(9, external(900, 10), "scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 1800}]}")
	s.sizes(3)
	s.conditionOf("ScalingLimited", "True ScaleUpLimit")
	const both = "policies: [{type: Pods, value: 2, periodSeconds: 1800}, {type: Percent, value: 150, periodSeconds: 1800}]"
	s.autoscaler(9, external(900, 10), "scaleUp: {selectPolicy: Disabled, "+both+"}")
	s.staysAt(3)
	s.autoscaler(9, external(900, 10), "scaleUp: {selectPolicy: Min, "+both+"}")
	s.sizes(4)
	s.autoscaler(9, external(900, 10), "scaleUp: {"+both+"}")
	s.sizes(5)
}

// downByPolicies counts from the size of half an hour ago, five pods.
func downByPolicies(s *space) {
	s.works(5, "1m")
	const at = "scaleDown: {stabilizationWindowSeconds: 0, "
	s.autoscaler(9, external(0, 10), at+"policies: [{type: Pods, value: 1, periodSeconds: 1800}]}")
	s.sizes(4)
	s.conditionOf("ScalingLimited", "True ScaleDownLimit")
	const both = "policies: [{type: Pods, value: 2, periodSeconds: 1800}, {type: Percent, value: 60, periodSeconds: 1800}]"
	s.autoscaler(9, external(0, 10), at+"selectPolicy: Disabled, "+both+"}")
	s.staysAt(4)
	s.autoscaler(9, external(0, 10), at+"selectPolicy: Min, "+both+"}")
	s.sizes(3)
	s.autoscaler(9, external(0, 10), at+both+"}")
	s.sizes(2)
}

func stabilizedUp(s *space) {
	s.works(1, "1m")
	s.autoscaler(5, external(50, 10), "scaleUp: {stabilizationWindowSeconds: 600}")
	s.conditionOf("AbleToScale", "True ScaleUpStabilized")
	s.staysAt(1)
	s.autoscaler(5, external(50, 10), "")
	s.sizes(5)
}

func stabilizedDown(s *space) {
	s.works(3, "1m")
	s.autoscaler(5, external(10, 10), "scaleDown: {stabilizationWindowSeconds: 600}")
	s.conditionOf("AbleToScale", "True ScaleDownStabilized")
	s.staysAt(3)
	s.autoscaler(5, external(10, 10), "")
	s.sizes(1)
}

func sizesCustomObject(s *space) {
	s.createClusterWide(definitions, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: farms.`+s.customGroup()+`}
spec:
  group: `+s.customGroup()+`
  scope: Namespaced
  names: {plural: farms, singular: farm, kind: Farm, listKind: FarmList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: `+anything+`}
    subresources: {scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}}
`)
	s.established("farms." + s.customGroup())
	s.create(s.things("Farm", "v1"), s.thing("Farm", "v1", "web", "spec: {replicas: 1}\nstatus: {replicas: 1, selector: app=web}\n"))
	s.apply(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: ` + s.customGroup() + `/v1, kind: Farm, name: web}
  maxReplicas: 5
  metrics: [` + external(30, 10) + `]
`)
	s.shows("3", "farm/web", ".spec.replicas")
}
