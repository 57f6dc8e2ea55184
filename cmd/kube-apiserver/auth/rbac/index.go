package rbac

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/cache"
)

// subjectIndex names the index of bindings by subject.
const subjectIndex = "subject"

// Keys of subjects: the namespace of the binding ("" for ClusterRoleBindings), the kind and the name. A service
// account is indexed as the user that it authenticates as.
func userKey(namespace, name string) string  { return namespace + "\x00u\x00" + name }
func groupKey(namespace, name string) string { return namespace + "\x00g\x00" + name }

// subjectKeys are the index keys of one binding.
func subjectKeys(namespace string, subjects []rbacv1.Subject) []string {
	keys := make([]string, 0, len(subjects))
	for _, s := range subjects {
		if key, ok := subjectKey(namespace, s); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func subjectKey(namespace string, s rbacv1.Subject) (string, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return userKey(namespace, s.Name), true
	case rbacv1.GroupKind:
		return groupKey(namespace, s.Name), true
	case rbacv1.ServiceAccountKind:
		in := s.Namespace
		if in == "" {
			in = namespace // a service account without namespace is one of the binding's
		}
		if in == "" {
			return "", false
		}
		return userKey(namespace, serviceaccount.MakeUsername(in, s.Name)), true
	}
	return "", false
}

// subjectIndexers index bindings of either kind.
func subjectIndexers() cache.Indexers {
	return cache.Indexers{subjectIndex: func(obj any) ([]string, error) {
		switch b := obj.(type) {
		case *rbacv1.ClusterRoleBinding:
			return subjectKeys("", b.Subjects), nil
		case *rbacv1.RoleBinding:
			return subjectKeys(b.Namespace, b.Subjects), nil
		}
		return nil, fmt.Errorf("indexing bindings: got %T", obj)
	}}
}

// describe names the subject of a binding by which user was matched.
func describe(u user.Info, namespace string, subjects []rbacv1.Subject, key string) string {
	for _, s := range subjects {
		if k, ok := subjectKey(namespace, s); ok && k == key {
			if s.Kind == rbacv1.ServiceAccountKind {
				in := s.Namespace
				if in == "" {
					in = namespace
				}
				return fmt.Sprintf("%s %q", s.Kind, s.Name+"/"+in)
			}
			return fmt.Sprintf("%s %q", s.Kind, s.Name)
		}
	}
	return fmt.Sprintf("User %q", u.GetName())
}
