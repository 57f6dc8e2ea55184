package node

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-apiserver/auth/rbac"
)

// leaseNamespace is where kubelets show that they live.
const leaseNamespace = "kube-node-lease"

// Authorizer decides requests of kubelets; it has no opinion of others.
type Authorizer struct {
	graph  *Graph
	synced func() bool
	rules  []rbacv1.PolicyRule
}

// NewAuthorizer returns the authorizer. rules are what every kubelet may do; requests for kinds that the graph
// knows are confined further. Until synced, requests for these are refused rather than misjudged.
func NewAuthorizer(g *Graph, synced func() bool, rules []rbacv1.PolicyRule) *Authorizer {
	return &Authorizer{graph: g, synced: synced, rules: rules}
}

// RulesFor implements authorizer.RuleResolver: what a kubelet may do depends on the graph, so no list is given.
func (z *Authorizer) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if _, ok := Identity(u); ok {
		return nil, nil, true, fmt.Errorf("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (z *Authorizer) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(z.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer; this authorizer has none.
func (z *Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// Authorize implements authorizer.Authorizer.
func (z *Authorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	node, ok := Identity(a.GetUser())
	if !ok {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if node == "" {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", a.GetUser().GetName()), nil
	}
	if a.IsResourceRequest() {
		if check, ok := z.check(schema.GroupResource{Group: a.GetAPIGroup(), Resource: a.GetResource()}); ok {
			if reason := check(node, a); reason != "" {
				klog.FromContext(ctx).V(2).Info("Refused a node", "node", node, "reason", reason, "verb", a.GetVerb(), "resource", a.GetResource(), "namespace", a.GetNamespace(), "name", a.GetName())
				return authorizer.DecisionNoOpinion, reason, nil
			}
			return authorizer.DecisionAllow, "", nil
		}
	}
	if rbac.Allows(z.rules, a) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// check returns the test of requests for a confined resource; it gives the reason of a refusal, or nothing.
func (z *Authorizer) check(gr schema.GroupResource) (func(node string, a authorizer.Attributes) string, bool) {
	related := func(k kind) func(string, authorizer.Attributes) string {
		return func(node string, a authorizer.Attributes) string { return z.related(node, k, a) }
	}
	switch gr {
	case schema.GroupResource{Resource: "secrets"}:
		return z.read(secretKind), true
	case schema.GroupResource{Resource: "configmaps"}:
		return z.read(configMapKind), true
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return func(node string, a authorizer.Attributes) string {
			if a.GetSubresource() == "status" {
				return z.statusUpdate(node, claimKind, a)
			}
			return z.get(node, claimKind, a)
		}, true
	case schema.GroupResource{Resource: "persistentvolumes"}:
		return func(node string, a authorizer.Attributes) string { return z.get(node, volumeKind, a) }, true
	case schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}:
		return func(node string, a authorizer.Attributes) string { return z.get(node, resourceClaimKind, a) }, true
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "volumeattachments"}:
		return func(node string, a authorizer.Attributes) string { return z.get(node, attachmentKind, a) }, true
	case schema.GroupResource{Resource: "serviceaccounts"}:
		return z.serviceAccount(related(serviceAccountKind)), true
	case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
		return lease, true
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
		return csiNode, true
	case schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceslices"}:
		return z.resourceSlice, true
	case schema.GroupResource{Resource: "nodes"}:
		return nodes, true
	case schema.GroupResource{Resource: "pods"}:
		return z.pods, true
	case schema.GroupResource{Group: "certificates.k8s.io", Resource: "podcertificaterequests"}:
		return z.certificateRequests, true
	}
	return nil, false
}

// related checks that the object concerns the node.
func (z *Authorizer) related(node string, k kind, a authorizer.Attributes) string {
	switch {
	case a.GetName() == "":
		return "No Object name found"
	case !z.synced():
		return "node authorizer has not read the cluster yet, try again"
	case !z.graph.reaches(node, key{k, a.GetNamespace(), a.GetName()}):
		return fmt.Sprintf("no relationship found between node '%s' and this object", node)
	}
	return ""
}

func (z *Authorizer) get(node string, k kind, a authorizer.Attributes) string {
	if a.GetVerb() != "get" {
		return "can only get individual resources of this type"
	}
	if a.GetSubresource() != "" {
		return "cannot get subresource"
	}
	return z.related(node, k, a)
}

// read allows to get one object, or to list and watch it alone.
func (z *Authorizer) read(k kind) func(string, authorizer.Attributes) string {
	return func(node string, a authorizer.Attributes) string {
		switch a.GetVerb() {
		case "get", "list", "watch":
		default:
			return "can only read resources of this type"
		}
		if a.GetSubresource() != "" {
			return "cannot read subresource"
		}
		if a.GetNamespace() == "" {
			return "can only read namespaced object of this type"
		}
		return z.related(node, k, a)
	}
}

func (z *Authorizer) statusUpdate(node string, k kind, a authorizer.Attributes) string {
	switch a.GetVerb() {
	case "update", "patch":
	default:
		return "can only update/patch resources of this type"
	}
	return z.related(node, k, a)
}

// serviceAccount allows tokens of the accounts of the node's pods, and to read these accounts.
func (z *Authorizer) serviceAccount(related func(string, authorizer.Attributes) string) func(string, authorizer.Attributes) string {
	return func(node string, a authorizer.Attributes) string {
		switch {
		case a.GetVerb() == "create" && a.GetSubresource() == "token":
			return related(node, a)
		case a.GetVerb() == "get" && a.GetSubresource() == "":
			return related(node, a)
		}
		return "can only create tokens for individual service accounts"
	}
}

func lease(node string, a authorizer.Attributes) string {
	switch a.GetVerb() {
	case "get", "create", "update", "patch", "delete":
	default:
		return "can only get, create, update, patch, or delete a node lease"
	}
	if a.GetSubresource() != "" {
		return "cannot access lease subresources"
	}
	if a.GetNamespace() != leaseNamespace {
		return fmt.Sprintf("can only access leases in the %q system namespace", leaseNamespace)
	}
	// the name of a new object is not in the URL; NodeRestriction checks it
	if a.GetVerb() != "create" && a.GetName() != node {
		return "can only access node lease with the same name as the requesting node"
	}
	return ""
}

func csiNode(node string, a authorizer.Attributes) string {
	switch a.GetVerb() {
	case "get", "create", "update", "patch", "delete":
	default:
		return "can only get, create, update, patch, or delete a CSINode"
	}
	if a.GetSubresource() != "" {
		return "cannot authorize CSINode subresources"
	}
	if a.GetVerb() != "create" && a.GetName() != node {
		return "can only access CSINode with the same name as the requesting node"
	}
	return ""
}

func (z *Authorizer) resourceSlice(node string, a authorizer.Attributes) string {
	if a.GetSubresource() != "" {
		return "cannot authorize ResourceSlice subresources"
	}
	switch a.GetVerb() {
	case "create":
		return "" // NodeRestriction checks spec.nodeName
	case "get", "update", "patch", "delete":
		return z.related(node, sliceKind, a)
	case "watch", "list", "deletecollection":
		if selects(a, "spec.nodeName", node) {
			return ""
		}
		return "can only list/watch/deletecollection resourceslices with nodeName field selector"
	}
	return "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection"
}

func nodes(node string, a authorizer.Attributes) string {
	switch a.GetSubresource() {
	case "":
		switch a.GetVerb() {
		case "create":
			return "" // NodeRestriction checks the name
		case "get", "update", "patch":
			if a.GetName() == node {
				return ""
			}
			return fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, a.GetName())
		case "list", "watch":
			// the request of one name carries it both as name and as selector
			if a.GetName() == node || selects(a, "metadata.name", node) {
				return ""
			}
			return fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node)
		}
	case "status":
		switch a.GetVerb() {
		case "update", "patch":
			if a.GetName() == node {
				return ""
			}
			return fmt.Sprintf("node '%s' cannot update status of '%s', only of its own Node object", node, a.GetName())
		}
	}
	return "can only get, list, watch, create, update, patch its own Node object and update its status"
}

func (z *Authorizer) pods(node string, a authorizer.Attributes) string {
	switch a.GetSubresource() {
	case "":
		switch a.GetVerb() {
		case "get":
			return z.related(node, podKind, a)
		case "list", "watch":
			if selects(a, "spec.nodeName", node) {
				return ""
			}
			if a.GetName() != "" {
				return z.related(node, podKind, a)
			}
			return "can only list/watch pods with spec.nodeName field selector"
		case "create", "delete":
			return "" // NodeRestriction allows mirror pods and deletions of the node's own pods
		}
	case "status":
		if v := a.GetVerb(); v == "update" || v == "patch" {
			return "" // NodeRestriction checks the pod's node
		}
	case "eviction":
		if a.GetVerb() == "create" {
			return ""
		}
	}
	return "can only get, list, watch, create and delete pods of its own, update their status and evict them"
}

func (z *Authorizer) certificateRequests(node string, a authorizer.Attributes) string {
	if a.GetSubresource() != "" {
		return "nodes may not access the subresources of podcertificaterequests"
	}
	switch a.GetVerb() {
	case "create":
		return "" // NodeRestriction checks pod and node
	case "get":
		return z.related(node, certificateRequestKind, a)
	case "list", "watch":
		if selects(a, "spec.nodeName", node) {
			return ""
		}
		return "can only list/watch podcertificaterequests with spec.nodeName field selector"
	}
	return "can only get, list, watch and create podcertificaterequests"
}

// selects reports whether the request's field selector demands that a field equals the node's name.
func selects(a authorizer.Attributes, field, node string) bool {
	reqs, err := a.GetFieldSelector()
	if err != nil {
		return false
	}
	for _, r := range reqs {
		if r.Field == field && (r.Operator == selection.Equals || r.Operator == selection.DoubleEquals) && r.Value == node {
			return true
		}
	}
	return false
}
