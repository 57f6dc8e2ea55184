package conformance

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	appsv1 "k8s.io/api/apps/v1"
)

func admissionResource(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: name}
}

// dryDeployment is what the server would make of a Deployment.
func (s *space) dryDeployment(replicas int32) (*appsv1.Deployment, error) {
	labels := map[string]string{"app": "dry"}
	return s.Client.AppsV1().Deployments(s.Namespace).Create(s.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "dry"},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: podTemplate(s.pod("", "true").Spec, labels)},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func TestPolicyVariables(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should allow expressions to refer variables.")
	s.createClusterWide(admissionResource("validatingadmissionpolicies"), `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: SPACE}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  variables:
  - {name: replicas, expression: object.spec.replicas}
  - {name: tooMany, expression: variables.replicas > 3}
  validations: [{expression: "!variables.tooMany", messageExpression: "string(variables.replicas) + ' are too many'"}]
`)
	s.createClusterWide(admissionResource("validatingadmissionpolicybindings"), `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: SPACE}
spec:
  policyName: SPACE
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: SPACE}}}
`)
	s.eventually("the policy to refuse 4 replicas", func() (any, bool) {
		_, err := s.dryDeployment(4)
		return err, err != nil && strings.Contains(err.Error(), "4 are too many")
	})
	if _, err := s.dryDeployment(3); err != nil {
		t.Errorf("what the policy allows: %v", err)
	}
}

// mutates binds a MutatingAdmissionPolicy with this mutation to the test's namespace, waits until it is in force, and gives a Deployment that it changed.
func (s *space) mutates(mutation string, changed func(*appsv1.Deployment) bool) {
	s.Helper()
	s.createClusterWide(admissionResource("mutatingadmissionpolicies"), `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: SPACE}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  mutations:
`+mutation)
	s.createClusterWide(admissionResource("mutatingadmissionpolicybindings"), `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: SPACE}
spec:
  policyName: SPACE
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: SPACE}}}
`)
	s.eventually("the policy to change a Deployment", func() (any, bool) {
		d, err := s.dryDeployment(1)
		if err != nil {
			return err, false
		}
		return d, changed(d)
	})
}

func TestMutatingPolicy(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment")
	s.mutates(`
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{spec: Object.spec{replicas: object.spec.replicas + 4}}"}
`, func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == 5 })
}

func TestMutatingPolicyOfAnnotations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment with annotations")
	s.mutates(`
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{metadata: Object.metadata{annotations: {'my.key/first': 'one', 'second': string(object.metadata.name)}}}"}
`, func(d *appsv1.Deployment) bool {
		return d.Annotations["my.key/first"] == "one" && d.Annotations["second"] == "dry"
	})
}

func TestValidatingPolicyOperations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations")
	s.supportsOperations(operations{resource: "validatingadmissionpolicies", clusterWide: true, subresources: []string{"status"}, manifest: `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  validations: [{expression: "true"}]
`, status: `{"conditions":[{"type":"Tested","status":"True","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`})
}

func TestMutatingPolicyOperations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicy API operations")
	s.supportsOperations(operations{resource: "mutatingadmissionpolicies", clusterWide: true, manifest: `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
spec:
  reinvocationPolicy: IfNeeded
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{}"}}]
`})
}

func TestMutatingPolicyBindingOperations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicyBinding API operations")
	s.supportsOperations(operations{resource: "mutatingadmissionpolicybindings", clusterWide: true, manifest: `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
spec: {policyName: nothing-real}
`})
}

func TestStorageVersionMigrationOperations(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] StorageVersionMigration CRUD Tests storagemigration.k8s.io/v1 StorageVersionMigration")
	s.supportsOperations(operations{resource: "storageversionmigrations", clusterWide: true, subresources: []string{"status"}, manifest: `
apiVersion: storagemigration.k8s.io/v1
kind: StorageVersionMigration
spec: {resource: {group: tests.pilotis.dev, resource: nothingreal}}
`, status: `{"conditions":[{"type":"Running","status":"False","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`})
}
