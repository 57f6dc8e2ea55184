package accounts_test

import (
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/accounts"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func space(name string, phase v1.NamespacePhase) *v1.Namespace {
	return &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1.NamespaceStatus{Phase: phase}}
}

func TestEveryNamespaceHasItsDefaultAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(space("lives", v1.NamespaceActive), space("goes", v1.NamespaceTerminating))
		l.Run(t, accounts.NewAccounts(l.Informers, l.Client))
		has := func(namespace string) bool {
			_, err := l.Client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
			return err == nil
		}
		if !has("lives") || has("goes") {
			t.Fatalf("the living namespace has it: %v, the terminating one: %v", has("lives"), has("goes"))
		}
		if err := l.Client.CoreV1().ServiceAccounts("lives").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !has("lives") {
			t.Error("the deleted account did not come back")
		}
	})
}

func TestEveryNamespaceHasTheRootCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(space("a", v1.NamespaceActive), space("b", v1.NamespaceActive),
			&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "a former one", "more": "x"}})
		bundles := coreinformers.NewConfigMapInformer(l.Client, "", 0, nil)
		l.Run(t, accounts.NewRootCA(l.Informers.Core().V1().Namespaces(), bundles, l.Client, []byte("the root")), bundles)
		check := func(when string) {
			t.Helper()
			for _, namespace := range []string{"a", "b"} {
				m, err := l.Client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
				if err != nil || len(m.Data) != 1 || m.Data["ca.crt"] != "the root" {
					t.Errorf("%s: in %s: %v, error %v", when, namespace, m, err)
				}
			}
		}
		check("at the start")
		if err := l.Client.CoreV1().ConfigMaps("a").Delete(t.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		check("after a deletion")
	})
}
