package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// allows reports whether one rule allows a request.
func allows(rule *rbacv1.PolicyRule, a authorizer.Attributes, resource string) bool {
	if !hasOrAll(rule.Verbs, a.GetVerb(), rbacv1.VerbAll) {
		return false
	}
	if !a.IsResourceRequest() {
		return allowsPath(rule.NonResourceURLs, a.GetPath())
	}
	return hasOrAll(rule.APIGroups, a.GetAPIGroup(), rbacv1.APIGroupAll) &&
		allowsResource(rule.Resources, resource, a.GetSubresource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func hasOrAll(list []string, want, all string) bool {
	for _, s := range list {
		if s == want || s == all {
			return true
		}
	}
	return false
}

// allowsResource takes the combined form, "pods/log"; "*/log" stands for a subresource of any resource.
func allowsResource(list []string, combined, subresource string) bool {
	for _, s := range list {
		if s == rbacv1.ResourceAll || s == combined {
			return true
		}
		if subresource != "" && len(s) == len(subresource)+2 && strings.HasPrefix(s, "*/") && s[2:] == subresource {
			return true
		}
	}
	return false
}

// allowsPath: "*" is every path, a trailing "*" every path with that beginning.
func allowsPath(list []string, path string) bool {
	for _, s := range list {
		if s == rbacv1.NonResourceAll || s == path {
			return true
		}
		if prefix, ok := strings.CutSuffix(s, "*"); ok && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// combinedResource is the resource with its subresource as rules name it.
func combinedResource(a authorizer.Attributes) string {
	if sub := a.GetSubresource(); sub != "" {
		return a.GetResource() + "/" + sub
	}
	return a.GetResource()
}

// Allows reports whether any of the rules allows the request.
func Allows(rules []rbacv1.PolicyRule, a authorizer.Attributes) bool {
	resource := ""
	if a.IsResourceRequest() {
		resource = combinedResource(a)
	}
	for i := range rules {
		if allows(&rules[i], a, resource) {
			return true
		}
	}
	return false
}
