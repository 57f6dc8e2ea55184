package conformance

import "testing"

func TestFlowSchemaOperations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] API priority and fairness should support FlowSchema API operations")
	s.supportsOperations(operations{resource: "flowschemas", clusterWide: true, subresources: []string{"status"}, manifest: `
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
spec:
  matchingPrecedence: 10000
  priorityLevelConfiguration: {name: global-default}
  distinguisherMethod: {type: ByUser}
  rules:
  - subjects: [{kind: User, user: {name: nobody-real}}]
    nonResourceRules: [{verbs: [get], nonResourceURLs: [/nowhere]}]
`, status: `{"conditions":[{"type":"Dangling","status":"False","reason":"Tested","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`})
}

func TestPriorityLevelOperations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations")
	s.supportsOperations(operations{resource: "prioritylevelconfigurations", clusterWide: true, subresources: []string{"status"}, manifest: `
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 2, limitResponse: {type: Reject}}
`, status: `{"conditions":[{"type":"Tested","status":"True","reason":"Tested","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`})
}
