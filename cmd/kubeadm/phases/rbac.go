package phases

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"pilotis.dev/cmd/kubeadm/config"
)

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// joiners and nodes are who reads the configuration objects: nodes about to join, and nodes.
func joiners() rbacv1.Subject { return group(config.NodeBootstrapGroup) }
func nodes() rbacv1.Subject   { return group("system:nodes") }

// readObject lets subjects get one object by name: a Role and its binding of the same name.
func readObject(name, namespace, resource, object string, subjects ...rbacv1.Subject) []runtime.Object {
	meta := metav1.ObjectMeta{Name: name, Namespace: namespace}
	return []runtime.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}, ResourceNames: []string{object}}}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}, Subjects: subjects},
	}
}

// bindClusterRole gives subjects a ClusterRole everywhere.
func bindClusterRole(name, role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}
}

// adminBinding is what makes admin.conf an administrator.
func adminBinding() runtime.Object {
	return bindClusterRole(AdminGroup, "cluster-admin", group(AdminGroup))
}

// bootstrapRules let joining nodes ask for certificates, have the requests approved, and see whether their name is taken
// (https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/).
func bootstrapRules() []runtime.Object {
	const getNodes = "kubeadm:get-nodes"
	return []runtime.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: getNodes}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"nodes"}}}},
		bindClusterRole(getNodes, getNodes, joiners()),
		bindClusterRole("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joiners()),
		bindClusterRole("kubeadm:node-autoapprove-bootstrap", "system:certificates.k8s.io:certificatesigningrequests:nodeclient", joiners()),
		bindClusterRole("kubeadm:node-autoapprove-certificate-rotation", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", nodes()),
	}
}

// clusterInfoRules let everybody read kube-public/cluster-info: it holds what is public, and discovery starts without a credential.
func clusterInfoRules() []runtime.Object {
	return readObject("kubeadm:bootstrap-signer-clusterinfo", metav1.NamespacePublic, "configmaps", bootstrapapi.ConfigMapClusterInfo, user("system:anonymous"))
}
