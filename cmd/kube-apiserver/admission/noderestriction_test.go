package admission

import (
	"crypto/x509/pkix"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

func nodeObject(name string, change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid"), Labels: map[string]string{"own": "x"}}}
	if change != nil {
		change(n)
	}
	return n
}

func podOn(name, node string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: objectMeta(name), Spec: corev1.PodSpec{NodeName: node, ServiceAccountName: "robot"}}
	if change != nil {
		change(p)
	}
	return p
}

// mirror is an acceptable mirror pod of node n1, changed.
func mirror(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: objectMeta("static-n1"), Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "n1-uid", Controller: ptr(true)}}
	if change != nil {
		change(p)
	}
	return p
}

func tokenRequest(pod, uid string, audiences ...string) *authenticationv1.TokenRequest {
	tr := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	if pod != "" {
		tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: types.UID(uid)}
	}
	return tr
}

func claimWith(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: objectMeta("c")}
	if change != nil {
		change(c)
	}
	return c
}

func TestNodeRestriction(t *testing.T) {
	mine := podOn("mine", "n1", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{
			{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}}}}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
		}
	})
	objects := []runtime.Object{
		nodeObject("n1", nil), mine, podOn("theirs", "n2", nil),
		&corev1.ServiceAccount{ObjectMeta: objectMeta("robot")},
		&corev1.PersistentVolumeClaim{ObjectMeta: objectMeta("data"), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv"}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d"}}}},
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: storagev1.CSIDriverSpec{TokenRequests: []storagev1.TokenRequest{{Audience: "cloud"}}}},
	}
	p, _ := prepared(t, made(t)(newNodeRestriction(nil)), grants("request-serviceaccounts-token-audience registry/robot"), objects...)
	status := func(change func(*corev1.Pod)) *corev1.Pod { q := mine.DeepCopy(); change(q); return q }
	label := func(k, v string) func(*corev1.Node) { return func(n *corev1.Node) { n.Labels[k] = v } }
	lease := func(ns, name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	}
	slice := func(node string) *resourcev1.ResourceSlice {
		return &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: resourcev1.ResourceSliceSpec{NodeName: &node}}
	}
	pcr := func(change func(*certificatesv1.PodCertificateRequestSpec)) *certificatesv1.PodCertificateRequest {
		r := &certificatesv1.PodCertificateRequest{ObjectMeta: objectMeta("r"), Spec: certificatesv1.PodCertificateRequestSpec{
			NodeName: "n1", NodeUID: "n1-uid", PodName: "mine", PodUID: "mine-uid", ServiceAccountName: "robot", ServiceAccountUID: "robot-uid",
		}}
		change(&r.Spec)
		return r
	}
	const up, del = admission.Update, admission.Delete
	for _, tc := range []struct {
		name string
		req  req
		want string
	}{
		{"mirror pod", req{resource: "pods", obj: mirror(nil)}, ""},
		{"ordinary pod", req{resource: "pods", obj: podOn("x", "n1", nil)}, `pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods`},
		{"mirror pod of another node", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.Spec.NodeName = "n2" })}, "can only create pods with spec.nodeName set to itself"},
		{"mirror pod without owner", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences = nil })}, "can only create pods with a single owner reference set to itself"},
		{"mirror pod of another owner", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences[0].Name = "n2" })}, "can only create pods with an owner reference set to itself"},
		{"mirror pod of a former node", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "old" })}, "UID mismatch"},
		{"mirror pod blocking its node", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences[0].BlockOwnerDeletion = ptr(true) })}, "must not set blockOwnerDeletion"},
		{"mirror pod with account", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "robot" })}, "can not create pods that reference a service account"},
		{"mirror pod with secret", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} })}, "can not create pods that reference secrets"},
		{"mirror pod with configmap", req{resource: "pods", obj: mirror(func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{}}}
		})}, "can not create pods that reference configmaps"},
		{"mirror pod with claim", req{resource: "pods", obj: mirror(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}}}
		})}, "can not create pods that reference persistentvolumeclaims"},
		{"mirror pod with devices", req{resource: "pods", obj: mirror(func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "x"}} })}, "can not create pods that reference resourceclaims"},
		{"pod update", req{resource: "pods", op: up, obj: mine, old: mine}, "can only create and delete mirror pods"},
		{"delete own", req{resource: "pods", op: del, namespace: "ns", name: "mine"}, ""},
		{"delete another's", req{resource: "pods", op: del, namespace: "ns", name: "theirs"}, "can only delete pods with spec.nodeName set to itself"},
		{"status of own", req{resource: "pods/status", op: up, obj: status(func(p *corev1.Pod) { p.Status.Message = "x" }), old: mine}, ""},
		{"status of another's", req{resource: "pods/status", op: up, obj: podOn("theirs", "n2", nil), old: podOn("theirs", "n2", nil)}, "can only update pod status for pods with spec.nodeName set to itself"},
		{"labels by status", req{resource: "pods/status", op: up, obj: status(func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }), old: mine}, "cannot update labels through pod status"},
		{"claims by status", req{resource: "pods/status", op: up, obj: status(func(p *corev1.Pod) { p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "x"}} }), old: mine}, "cannot update resource claim statuses"},
		{"evict own", req{resource: "pods/eviction", namespace: "ns", name: "mine", obj: &policyv1.Eviction{ObjectMeta: objectMeta("mine")}}, ""},
		{"evict another's", req{resource: "pods/eviction", namespace: "ns", name: "theirs", obj: &policyv1.Eviction{}}, "can only evict pods with spec.nodeName set to itself"},
		{"exec", req{resource: "pods/exec", op: admission.Connect, namespace: "ns", name: "mine"}, ""}, // not handled here, the authorizer refuses

		{"register", req{resource: "nodes", obj: nodeObject("n1", label("kubernetes.io/hostname", "n1"))}, ""},
		{"register another", req{resource: "nodes", obj: nodeObject("n2", nil)}, `node "n1" is not allowed to modify node "n2"`},
		{"register with restricted label", req{resource: "nodes", obj: nodeObject("n1", label("pci.node-restriction.kubernetes.io/x", "y"))}, "is not allowed to set the following labels"},
		{"register with owner", req{resource: "nodes", obj: nodeObject("n1", func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} })}, "is not allowed to set ownerReferences"},
		{"own label", req{resource: "nodes", op: up, obj: nodeObject("n1", label("topology.kubernetes.io/zone", "z")), old: nodeObject("n1", nil)}, ""},
		{"label of others", req{resource: "nodes", op: up, obj: nodeObject("n1", label("node-role.kubernetes.io/control-plane", "")), old: nodeObject("n1", nil)}, "is not allowed to modify labels: node-role.kubernetes.io/control-plane"},
		{"label taken away", req{resource: "nodes", op: up, obj: nodeObject("n1", nil), old: nodeObject("n1", label("node-restriction.kubernetes.io/x", "y"))}, "is not allowed to modify labels: node-restriction.kubernetes.io/x"},
		{"taint", req{resource: "nodes/status", op: up, obj: nodeObject("n1", nil), old: nodeObject("n1", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x"}} })}, "is not allowed to modify taints"},
		{"owner", req{resource: "nodes", op: up, obj: nodeObject("n1", func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), old: nodeObject("n1", nil)}, "is not allowed to modify ownerReferences"},

		{"token of own pod", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "mine-uid")}, ""},
		{"token for its audience", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "mine-uid", "vault")}, ""},
		{"token for its driver", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "mine-uid", "cloud")}, ""},
		{"token for a granted audience", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: func() runtime.Object { r := tokenRequest("mine", "mine-uid", "registry"); r.Name = "robot"; return r }()}, ""},
		{"token for another audience", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "mine-uid", "bank")}, `audience "bank" not found in pod spec volume`},
		{"token for two audiences", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "mine-uid", "vault", "bank")}, "node may only request 0 or 1 audiences"},
		{"token without pod", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("", "")}, "node requested token not bound to a pod"},
		{"token without uid", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "")}, "node requested token with a pod binding without a uid"},
		{"token of a former pod", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("mine", "old")}, "does not match the UID in record"},
		{"token of another's pod", req{resource: "serviceaccounts/token", namespace: "ns", name: "robot", obj: tokenRequest("theirs", "theirs-uid")}, "node requested token bound to a pod scheduled on a different node"},

		{"own lease", req{resource: "coordination.k8s.io/leases", obj: lease("kube-node-lease", "n1")}, ""},
		{"another's lease", req{resource: "coordination.k8s.io/leases", obj: lease("kube-node-lease", "n2")}, "can only access node lease with the same name as the requesting node"},
		{"lease elsewhere", req{resource: "coordination.k8s.io/leases", obj: lease("kube-system", "n1")}, `can only access leases in the "kube-node-lease" system namespace`},
		{"own CSINode", req{resource: "storage.k8s.io/csinodes", obj: &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}}, ""},
		{"another's CSINode", req{resource: "storage.k8s.io/csinodes", obj: &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}}, "can only access CSINode with the same name"},
		{"own slice", req{resource: "resource.k8s.io/resourceslices", obj: slice("n1")}, ""},
		{"another's slice", req{resource: "resource.k8s.io/resourceslices", obj: slice("n2")}, "can only create ResourceSlice with the same NodeName"},
		{"another's slice taken", req{resource: "resource.k8s.io/resourceslices", op: up, obj: slice("n1"), old: slice("n2")}, "can only change or delete ResourceSlice with the same NodeName"},

		{"claim status", req{resource: "persistentvolumeclaims/status", op: up, obj: claimWith(func(c *corev1.PersistentVolumeClaim) {
			c.Status.Capacity = corev1.ResourceList{"storage": resource.MustParse("2Gi")}
		}), old: claimWith(nil)}, ""},
		{"claim label by status", req{resource: "persistentvolumeclaims/status", op: up, obj: claimWith(func(c *corev1.PersistentVolumeClaim) { c.Labels = map[string]string{"a": "b"} }), old: claimWith(nil)}, "is not allowed to update fields other than status.quantity and status.conditions"},
		{"claim spec", req{resource: "persistentvolumeclaims", op: up, obj: claimWith(nil), old: claimWith(nil)}, "can only update the status of a persistentvolumeclaim"},

		{"own certificate", req{resource: csrs, obj: csr(t, certificatesv1.KubeletServingSignerName, pkix.Name{CommonName: "system:node:n1"})}, ""},
		{"another's certificate", req{resource: csrs, obj: csr(t, certificatesv1.KubeAPIServerClientKubeletSignerName, pkix.Name{CommonName: "system:node:n2"})}, "can only create a node CSR with CN=system:node:n1"},
		{"pod certificate", req{resource: "certificates.k8s.io/podcertificaterequests", obj: pcr(func(*certificatesv1.PodCertificateRequestSpec) {})}, ""},
		{"pod certificate of another's pod", req{resource: "certificates.k8s.io/podcertificaterequests", obj: pcr(func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName, s.PodUID = "theirs", "theirs-uid" })}, `is not running on node "n1"`},
		{"pod certificate as another account", req{resource: "certificates.k8s.io/podcertificaterequests", obj: pcr(func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountName = "default" })}, "differs from running pod"},
		{"pod certificate as a former node", req{resource: "certificates.k8s.io/podcertificaterequests", obj: pcr(func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeUID = "old" })}, "names node UID"},

		{"other kinds", req{resource: "configmaps", obj: &corev1.ConfigMap{}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.req.user = &user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:nodes"}}
			expect(t, send(t, p, tc.req), tc.want)
		})
	}
	expect(t, send(t, p, req{resource: "pods", obj: podOn("x", "n1", nil)}), "") // of a person
	nameless := &user.DefaultInfo{Name: "system:node:", Groups: []string{"system:nodes"}}
	expect(t, send(t, p, req{resource: "pods", obj: podOn("x", "n1", nil), user: nameless}), "could not determine node from user")
}
