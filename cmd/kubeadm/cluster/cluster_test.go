package cluster

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
	"pilotis.dev/cmd/kubeadm/config"
)

func TestApplyKeepsWhatOthersDecide(t *testing.T) {
	client := fake.NewClientset()
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](2)}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"}}
	if err := ApplyAll(t.Context(), client, deployment, service); err != nil {
		t.Fatal(err)
	}
	scaled := deployment.DeepCopy()
	scaled.Spec.Replicas = ptr.To[int32](7)
	if _, err := client.AppsV1().Deployments("kube-system").Update(t.Context(), scaled, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	allocated := service.DeepCopy()
	allocated.Spec.ClusterIP, allocated.Spec.ClusterIPs = "10.96.0.10", []string{"10.96.0.10"}
	if _, err := client.CoreV1().Services("kube-system").Update(t.Context(), allocated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	deployment.Labels = map[string]string{"new": "yes"}
	if err := ApplyAll(t.Context(), client, deployment, service); err != nil {
		t.Fatal(err)
	}
	got, err := client.AppsV1().Deployments("kube-system").Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil || *got.Spec.Replicas != 7 || got.Labels["new"] != "yes" {
		t.Errorf("deployment %+v, %v", got, err)
	}
	svc, err := client.CoreV1().Services("kube-system").Get(t.Context(), "kube-dns", metav1.GetOptions{})
	if err != nil || svc.Spec.ClusterIP != "10.96.0.10" {
		t.Errorf("service %+v, %v", svc, err)
	}
	if err := Apply(t.Context(), client, &corev1.Pod{}); err == nil {
		t.Error("a kind kubeadm does not own must be refused")
	}
}

func TestApplyFindsAServiceWhoseAddressIsTakenByItself(t *testing.T) {
	taken := apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "kube-dns", nil)
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", Labels: map[string]string{"new": "yes"}}}
	for name, existing := range map[string][]runtime.Object{"there": {&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"}}}, "not there": nil} {
		client := fake.NewClientset(existing...)
		client.PrependReactor("create", "services", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, taken })
		err := Apply(t.Context(), client, service)
		if (err == nil) != (existing != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCreateMissingNeverOverwrites(t *testing.T) {
	client := fake.NewClientset()
	object := func(text string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Data: map[string]string{"Corefile": text}}
	}
	for _, text := range []string{"edited", "default"} {
		if err := CreateMissing(t.Context(), client, object(text)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil || got.Data["Corefile"] != "edited" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRetry(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "kube-system")
	for name, tc := range map[string]struct {
		answers []error
		want    string
		calls   int
	}{
		"at once":           {[]error{nil}, "", 1},
		"after a namespace": {[]error{missing, missing, nil}, "", 3},
		"after RBAC loads":  {[]error{apierrors.NewForbidden(schema.GroupResource{}, "x", nil), nil}, "", 2},
		"never":             {[]error{apierrors.NewBadRequest("no")}, "no", 1},
		"for good":          {[]error{errors.New("disk")}, "disk", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := Retry(t.Context(), time.Minute, func(context.Context) error {
					calls++
					return tc.answers[calls-1]
				})
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) || calls != tc.calls {
					t.Errorf("%d calls, error %v", calls, err)
				}
			})
		})
	}
}

func TestRetryReportsTheServersLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := Retry(t.Context(), 5*time.Second, func(ctx context.Context) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return apierrors.NewServiceUnavailable("etcd is down")
		})
		if err == nil || !strings.Contains(err.Error(), "etcd is down") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTokenSurvivesItsSecret(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	token := config.BootstrapToken{Token: "abcdef.0123456789abcdef", Description: "d", TTL: &metav1.Duration{Duration: time.Hour},
		Usages: []string{"authentication", "signing"}, Groups: []string{"system:bootstrappers:a", "system:bootstrappers:b"}}
	secret, err := TokenSecret(token, now)
	if err != nil {
		t.Fatal(err)
	}
	if secret.Name != "bootstrap-token-abcdef" || secret.Type != "bootstrap.kubernetes.io/token" || string(secret.Data["expiration"]) != "2026-03-01T13:00:00Z" {
		t.Errorf("%+v", secret)
	}
	back, err := TokenOf(secret)
	if err != nil || back.Token != token.Token || len(back.Usages) != 2 || len(back.Groups) != 2 || !back.Expires.Time.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v, %v", back, err)
	}
	token.TTL = &metav1.Duration{}
	if secret, err = TokenSecret(token, now); err != nil || secret.Data["expiration"] != nil {
		t.Errorf("a TTL of zero must never expire: %v, %v", secret, err)
	}
	secret.Name = "bootstrap-token-zzzzzz"
	if _, err := TokenOf(secret); err == nil {
		t.Error("a name that does not match the id must be a fault")
	}
}

func TestTokensAreCreatedOnceListedAndDeleted(t *testing.T) {
	client := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "other"}})
	token := config.BootstrapToken{Token: "abcdef.0123456789abcdef"}
	if err := CreateToken(t.Context(), client, token, time.Now()); err != nil {
		t.Fatal(err)
	}
	err := CreateToken(t.Context(), client, token, time.Now())
	if err == nil || strings.Contains(err.Error(), "0123456789abcdef") {
		t.Errorf("a second token of the same id must be refused without printing its secret: %v", err)
	}
	list, faults, err := Tokens(t.Context(), client)
	if err != nil || len(list) != 1 || len(faults) != 0 {
		t.Errorf("%v %v %v", list, faults, err)
	}
	if id, err := DeleteToken(t.Context(), client, "abcdef.0123456789abcdef"); err != nil || id != "abcdef" {
		t.Errorf("%q, %v", id, err)
	}
	if _, err := DeleteToken(t.Context(), client, "abcdef"); err == nil {
		t.Error("deleting twice must fail")
	}
	if _, err := DeleteToken(t.Context(), client, "no such form"); err == nil {
		t.Error("nonsense must be refused")
	}
}

func TestDryRunAnswersAndTellsNoSecrets(t *testing.T) {
	var out bytes.Buffer
	client, err := DryRun(&out, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := CreateToken(t.Context(), client, config.BootstrapToken{Token: "abcdef.0123456789abcdef"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := Apply(t.Context(), client, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}, Data: map[string]string{"k": "shown"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := client.CoreV1().Pods("a").Get(t.Context(), "b", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("reads must find nothing, got %v", err)
	}
	if _, err := DeleteToken(t.Context(), client, "abcdef"); err != nil {
		t.Error(err)
	}
	if text := out.String(); !strings.Contains(text, "k: shown") || strings.Contains(text, "MDEyMzQ1Njc4OWFiY2RlZg") || !strings.Contains(text, "POST on /api/v1/namespaces/kube-system/secrets") {
		t.Errorf("output:\n%s", text)
	}
}

func TestStoredReadsWhatAClusterWasMadeWith(t *testing.T) {
	put := func(name, key, text string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Data: map[string]string{key: text}}
	}
	cluster := put(ConfigName, ConfigKey, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: blue\n")
	kubelet := put(KubeletConfigName, KubeletConfigKey, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 7\n")
	docs, err := Stored(t.Context(), fake.NewClientset(cluster, kubelet), true)
	if err != nil || docs.Cluster.ClusterName != "blue" || docs.Cluster.CertificatesDir == "" || docs.Kubelet.MaxPods != 7 || docs.Proxy != nil {
		t.Errorf("%+v, %v", docs, err)
	}
	if _, err := Stored(t.Context(), fake.NewClientset(kubelet), true); err == nil || !strings.Contains(err.Error(), "kube-system/kubeadm-config") {
		t.Errorf("a missing configuration must be named: %v", err)
	}
	if _, err := Stored(t.Context(), fake.NewClientset(put(ConfigName, ConfigKey, "kind: x"), kubelet), true); err == nil {
		t.Error("a broken configuration must be an error")
	}
}
