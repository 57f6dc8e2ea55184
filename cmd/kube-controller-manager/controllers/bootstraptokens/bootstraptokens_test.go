package bootstraptokens

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cluster-bootstrap/token/jws"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/pkg/reconcile"
)

// token is the Secret of a bootstrap token that signs and ends after so long; 0: never.
func token(id string, life time.Duration) *v1.Secret {
	s := &v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{
		"token-id": []byte(id), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-signing": []byte("true"),
	}}
	if life != 0 {
		s.Data["expiration"] = []byte(time.Now().Add(life).UTC().Format(time.RFC3339))
	}
	return s
}

func TestSignaturesAreThoseOfThePresentTokens(t *testing.T) {
	const kubeconfig = "apiVersion: v1\nkind: Config\n"
	mute := token("mute00", 0)
	mute.Data["usage-bootstrap-signing"] = []byte("false")
	misnamed := token("other0", 0)
	misnamed.Name = "bootstrap-token-wrong0"
	stranger := token("strang", 0)
	stranger.Type = v1.SecretTypeOpaque
	malformed := token("malfor", 0)
	malformed.Data["expiration"] = []byte("tomorrow")
	data := map[string]string{"kubeconfig": kubeconfig, "jws-kubeconfig-gone00": "old", "note": "users'"}
	got, err := signatures(data, []*v1.Secret{token("abcdef", time.Hour), token("forevr", 0), token("ended0", -time.Minute), mute, misnamed, stranger, malformed}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for k := range got {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if want := "jws-kubeconfig-abcdef jws-kubeconfig-forevr kubeconfig note"; strings.Join(keys, " ") != want {
		t.Errorf("keys %v, want %s", keys, want)
	}
	if !jws.DetachedTokenIsValid(got["jws-kubeconfig-abcdef"], kubeconfig, "abcdef", "0123456789abcdef") {
		t.Error("a joining node would refuse the signature")
	}
	if jws.DetachedTokenIsValid(got["jws-kubeconfig-abcdef"], kubeconfig+"#", "abcdef", "0123456789abcdef") {
		t.Error("the signature holds for another kubeconfig")
	}
}

func TestTokensEndWithTheirSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		secrets, maps := l.Informers.Core().V1().Secrets().Informer(), l.Informers.Core().V1().ConfigMaps().Informer()
		loops := []*reconcile.Controller{NewCleaner(secrets, l.Client), NewSigner(secrets, maps, l.Client)}
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		for _, loop := range loops {
			group.Go(func() { loop.Run(ctx) })
		}
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		info := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "apiVersion: v1\n"}}
		if _, err := l.Client.CoreV1().ConfigMaps("kube-public").Create(ctx, info, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Client.CoreV1().Secrets("kube-system").Create(ctx, token("abcdef", time.Hour), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		signed := func(want bool) {
			t.Helper()
			synctest.Wait()
			m, err := l.Client.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, got := m.Data["jws-kubeconfig-abcdef"]; got != want {
				t.Errorf("signed by the token: %v, want %v", got, want)
			}
		}
		time.Sleep(59 * time.Minute)
		signed(true)
		time.Sleep(2 * time.Minute)
		signed(false)
		if list, err := l.Client.CoreV1().Secrets("kube-system").List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
			t.Errorf("the expired token is still there (%v)", err)
		}
	})
}

// A token that was prolonged lives on, though the cache does not know yet.
func TestAProlongedTokenLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(token("abcdef", time.Hour))
		l.Run(t, NewCleaner(l.Informers.Core().V1().Secrets().Informer(), l.Client))
		l.Freeze("secrets")
		secrets := l.Client.CoreV1().Secrets("kube-system")
		s, err := secrets.Get(t.Context(), "bootstrap-token-abcdef", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Data = token("abcdef", 5*time.Hour).Data
		if _, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			hours time.Duration
			lives bool
		}{{2, true}, {2, true}, {2, false}} {
			time.Sleep(c.hours * time.Hour)
			synctest.Wait()
			if _, err := secrets.Get(t.Context(), s.Name, metav1.GetOptions{}); (err == nil) != c.lives {
				t.Errorf("the token lives: %v, want %v", err == nil, c.lives)
			}
			l.Thaw()
		}
	})
}
