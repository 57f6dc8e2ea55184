// Package quota says how much of a ResourceQuota an object uses (https://kubernetes.io/docs/concepts/policy/resource-quotas/).
//
// kube-apiserver asks before it stores an object, the resource quota controller asks for all objects of a namespace;
// both must count alike, so both use these evaluators.
package quota
