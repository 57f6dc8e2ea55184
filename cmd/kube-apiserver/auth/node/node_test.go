package node

import (
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func kubelet(node string) user.Info {
	return &user.DefaultInfo{Name: "system:node:" + node, Groups: []string{"system:nodes", "system:authenticated"}}
}

// ask is "verb [group/]resource[/subresource] [namespace/]name [selector]"; "-" stands for no name.
func ask(u user.Info, text string) authorizer.AttributesRecord {
	f := strings.Fields(text)
	a := authorizer.AttributesRecord{User: u, Verb: f[0], ResourceRequest: true}
	parts := strings.Split(f[1], "/")
	if strings.Contains(parts[0], ".") {
		a.APIGroup, parts = parts[0], parts[1:]
	}
	a.Resource = parts[0]
	if len(parts) > 1 {
		a.Subresource = parts[1]
	}
	if ns, name, ok := strings.Cut(f[2], "/"); ok {
		a.Namespace, a.Name = ns, name
	} else if f[2] != "-" {
		a.Name = f[2]
	}
	if len(f) > 3 {
		a.FieldSelectorRequirements = fields.ParseSelectorOrDie(f[3]).Requirements()
	}
	return a
}

func pod(namespace, name, node string, spec corev1.PodSpec) *corev1.Pod {
	spec.NodeName = node
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
}

func secretEnv(name string) corev1.Container {
	return corev1.Container{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}}
}

func ptr[T any](v T) *T { return &v }

// cluster is a graph with pods on n1 and n2.
func cluster() *Graph {
	g := NewGraph()
	g.pod(pod("ns", "web", "n1", corev1.PodSpec{
		ServiceAccountName: "robot",
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "pull"}},
		Containers: []corev1.Container{{
			Env: []corev1.EnvVar{
				{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "env"}}}},
				{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "envcm"}}}},
			},
		}, secretEnv("shared")},
		InitContainers:      []corev1.Container{secretEnv("init")},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(secretEnv("debug"))}},
		Volumes: []corev1.Volume{
			{Name: "a", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "vol"}}},
			{Name: "b", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "proj"}}},
			}}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			{Name: "d", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			{Name: "e", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: &corev1.LocalObjectReference{Name: "csi"}}}},
		},
		ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: ptr("gpu")}},
	}), false)
	g.pod(pod("ns", "other", "n2", corev1.PodSpec{Containers: []corev1.Container{secretEnv("shared"), secretEnv("only2")}}), false)
	g.pod(pod("ns", "waiting", "", corev1.PodSpec{Containers: []corev1.Container{secretEnv("unscheduled")}}), false)
	mirror := pod("ns", "static", "n1", corev1.PodSpec{Containers: []corev1.Container{secretEnv("stolen")}})
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	g.pod(mirror, false)
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv1"}}
	pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "ns", Name: "data"}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{
		NodeStageSecretRef:         &corev1.SecretReference{Namespace: "storage", Name: "stage"},
		ControllerPublishSecretRef: &corev1.SecretReference{Namespace: "storage", Name: "controller"},
	}
	g.persistentVolume(pv, false)
	g.attachment(&storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "va1"}, Spec: storagev1.VolumeAttachmentSpec{NodeName: "n1"}}, false)
	g.slice(&resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "slice1"}, Spec: resourcev1.ResourceSliceSpec{NodeName: ptr("n1")}}, false)
	g.certificateRequest(&certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pcr"}, Spec: certificatesv1.PodCertificateRequestSpec{NodeName: "n1"}}, false)
	return g
}

func TestKubeletOfN1(t *testing.T) {
	z := NewAuthorizer(cluster(), func() bool { return true }, Rules())
	for _, tc := range []struct {
		allow bool
		asks  []string
	}{
		{true, []string{
			"get secrets ns/env", "get secrets ns/pull", "list secrets ns/vol", "watch secrets ns/proj", "get secrets ns/init",
			"get secrets ns/debug", "get secrets ns/shared", "get secrets ns/csi", "get secrets storage/stage",
			"get configmaps ns/envcm", "watch configmaps ns/kube-root-ca.crt",
			"get persistentvolumeclaims ns/data", "get persistentvolumeclaims ns/web-d", "patch persistentvolumeclaims/status ns/data",
			"get persistentvolumes pv1", "get resource.k8s.io/resourceclaims ns/gpu",
			"get storage.k8s.io/volumeattachments va1", "create serviceaccounts/token ns/robot", "get serviceaccounts ns/robot",
			"get nodes n1", "patch nodes/status n1", "create nodes -", "list nodes - metadata.name=n1",
			"get pods ns/web", "list pods - spec.nodeName=n1", "watch pods - spec.nodeName=n1", "patch pods/status ns/web", "create pods ns/", "delete pods ns/web", "create pods/eviction ns/web",
			"get coordination.k8s.io/leases kube-node-lease/n1", "create coordination.k8s.io/leases kube-node-lease/", "update coordination.k8s.io/leases kube-node-lease/n1",
			"get storage.k8s.io/csinodes n1", "create storage.k8s.io/csinodes -",
			"list resource.k8s.io/resourceslices - spec.nodeName=n1", "update resource.k8s.io/resourceslices slice1", "deletecollection resource.k8s.io/resourceslices - spec.nodeName=n1",
			"get certificates.k8s.io/podcertificaterequests ns/pcr", "list certificates.k8s.io/podcertificaterequests - spec.nodeName=n1",
			"list services -", "create certificates.k8s.io/certificatesigningrequests -", "watch storage.k8s.io/csidrivers -", "create events ns/",
			"create authentication.k8s.io/tokenreviews -", "list node.k8s.io/runtimeclasses -",
		}},
		{false, []string{
			"get secrets ns/only2", "get secrets ns/nothing", "get secrets other/env", "get secrets ns/unscheduled", "get secrets ns/stolen", "get secrets storage/controller",
			"list secrets ns/", "list secrets -", "delete secrets ns/env", "update configmaps ns/envcm",
			"get persistentvolumeclaims ns/foreign", "list persistentvolumes -", "get persistentvolumes pv2", "update persistentvolumeclaims ns/data",
			"get storage.k8s.io/volumeattachments va2", "create serviceaccounts/token ns/default", "list serviceaccounts ns/",
			"get nodes n2", "patch nodes/status n2", "delete nodes n1", "list nodes -", "list nodes - metadata.name=n2", "get nodes/proxy n1",
			"get pods ns/other", "list pods -", "list pods - spec.nodeName=n2", "list pods - spec.nodeName!=n1", "update pods ns/web", "get pods/log ns/web", "create pods/exec ns/web",
			"get coordination.k8s.io/leases kube-node-lease/n2", "get coordination.k8s.io/leases kube-system/n1", "list coordination.k8s.io/leases kube-node-lease/",
			"get storage.k8s.io/csinodes n2", "get resource.k8s.io/resourceslices slice2", "list resource.k8s.io/resourceslices -",
			"get certificates.k8s.io/podcertificaterequests ns/foreign", "list certificates.k8s.io/podcertificaterequests -",
			"get apps/deployments ns/d", "list namespaces -", "update certificates.k8s.io/certificatesigningrequests/approval x",
		}},
	} {
		for _, text := range tc.asks {
			decision, reason, err := z.Authorize(t.Context(), ask(kubelet("n1"), text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if got := decision == authorizer.DecisionAllow; got != tc.allow {
				t.Errorf("%s: allowed is %v (%s)", text, got, reason)
			}
		}
	}
}

func TestReasonNamesTheNode(t *testing.T) {
	z := NewAuthorizer(cluster(), func() bool { return true }, Rules())
	_, reason, _ := z.Authorize(t.Context(), ask(kubelet("n1"), "get secrets ns/only2"))
	if want := "no relationship found between node 'n1' and this object"; reason != want {
		t.Errorf("got %q, want %q", reason, want)
	}
}

func TestOthersAreNotJudged(t *testing.T) {
	z := NewAuthorizer(cluster(), func() bool { return true }, Rules())
	for _, u := range []user.Info{
		&user.DefaultInfo{Name: "system:node:n1"},
		&user.DefaultInfo{Name: "ann", Groups: []string{"system:nodes"}},
		&user.DefaultInfo{Name: "system:node:", Groups: []string{"system:nodes"}},
	} {
		if decision, _, _ := z.Authorize(t.Context(), ask(u, "list services -")); decision != authorizer.DecisionNoOpinion {
			t.Errorf("%v: %s", u, decision)
		}
	}
}

func TestNothingIsAllowedBeforeTheGraphIsRead(t *testing.T) {
	z := NewAuthorizer(cluster(), func() bool { return false }, Rules())
	if decision, reason, _ := z.Authorize(t.Context(), ask(kubelet("n1"), "get secrets ns/env")); decision == authorizer.DecisionAllow {
		t.Error(reason)
	}
}

func TestGraphFollowsTheCluster(t *testing.T) {
	g := NewGraph()
	secret := func(name string) key { return key{secretKind, "ns", name} }
	one := pod("ns", "one", "n1", corev1.PodSpec{Containers: []corev1.Container{secretEnv("a")}})
	two := pod("ns", "two", "n1", corev1.PodSpec{Containers: []corev1.Container{secretEnv("a"), secretEnv("b")}})
	g.pod(one, false)
	g.pod(two, false)
	g.pod(one, true)
	if !g.reaches("n1", secret("a")) {
		t.Error("another pod of the node still refers to the Secret")
	}
	moved := two.DeepCopy()
	moved.Spec.Containers = moved.Spec.Containers[1:]
	g.pod(moved, false)
	if g.reaches("n1", secret("a")) || !g.reaches("n1", secret("b")) {
		t.Error("the update was not taken over")
	}
	g.pod(moved, true)
	if g.reaches("n1", secret("b")) || len(g.users) != 0 || len(g.pods) != 0 {
		t.Errorf("something is left: %v %v", g.users, g.pods)
	}
	// a volume that is bound before or after the pod comes
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}}
	pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "ns", Name: "c"}
	pv.Spec.ISCSI = &corev1.ISCSIPersistentVolumeSource{SecretRef: &corev1.SecretReference{Name: "chap"}}
	g.persistentVolume(pv, false)
	if g.reaches("n1", key{volumeKind, "", "pv"}) {
		t.Error("nobody uses the claim")
	}
	user := pod("ns", "db", "n1", corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}})
	g.pod(user, false)
	if !g.reaches("n1", key{volumeKind, "", "pv"}) || !g.reaches("n1", secret("chap")) {
		t.Error("the pod's claim leads to volume and Secret")
	}
	released := pv.DeepCopy()
	released.Spec.ClaimRef = nil
	g.persistentVolume(released, false)
	if g.reaches("n1", key{volumeKind, "", "pv"}) || g.reaches("n1", secret("chap")) || len(g.holders) != 0 {
		t.Error("the volume is no longer bound")
	}
}

func BenchmarkReaches(b *testing.B) {
	g := NewGraph()
	for i := range 10000 {
		name := string(rune(i))
		g.pod(pod("ns", name, "n"+string(rune(i%1000)), corev1.PodSpec{ServiceAccountName: "sa", Containers: []corev1.Container{secretEnv("s" + name)}}), false)
	}
	question := key{secretKind, "ns", "s" + string(rune(5))}
	b.ReportAllocs()
	for b.Loop() {
		g.reaches("n"+string(rune(5)), question)
	}
}
