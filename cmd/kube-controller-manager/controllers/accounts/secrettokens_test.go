package accounts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	coreinformers "k8s.io/client-go/informers/core/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/accounts"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/pkg/tokens"
)

func account(secrets ...string) *v1.ServiceAccount {
	a := &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "robot", UID: "uid-robot"}}
	for _, s := range secrets {
		a.Secrets = append(a.Secrets, v1.ObjectReference{Name: s})
	}
	return a
}

func tokenSecret(name string, change func(*v1.Secret)) *v1.Secret {
	s := &v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Annotations: map[string]string{v1.ServiceAccountNameKey: "robot"}}, Type: v1.SecretTypeServiceAccountToken}
	if change != nil {
		change(s)
	}
	return s
}

func runTokens(t *testing.T, l *lab.Lab) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tokens.NewSigner(tokens.LegacyIssuer, key)
	if err != nil {
		t.Fatal(err)
	}
	secrets := coreinformers.NewSecretInformer(l.Client, "", 0, accounts.TokenSecretIndexers())
	l.Run(t, accounts.NewSecretTokens(accounts.SecretTokens{
		Client: l.Client, Secrets: secrets, Accounts: l.Informers.Core().V1().ServiceAccounts(), Signer: signer, RootCA: []byte("the root"), Workers: 2,
	}), secrets)
}

func secret(t *testing.T, l *lab.Lab, name string) *v1.Secret {
	t.Helper()
	s, err := l.Client.CoreV1().Secrets("ns").Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATokenSecretIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(account())
		runTokens(t, l)
		l.Seed(tokenSecret("robot-token", nil))
		synctest.Wait()
		s := secret(t, l, "robot-token")
		if s == nil || string(s.Data["ca.crt"]) != "the root" || string(s.Data["namespace"]) != "ns" || s.Annotations[v1.ServiceAccountUIDKey] != "uid-robot" {
			t.Fatalf("the Secret is %v", s)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(s.Data["token"]), ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]string
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		for claim, want := range map[string]string{
			"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:ns:robot", "kubernetes.io/serviceaccount/namespace": "ns",
			"kubernetes.io/serviceaccount/service-account.name": "robot", "kubernetes.io/serviceaccount/service-account.uid": "uid-robot",
			"kubernetes.io/serviceaccount/secret.name": "robot-token",
		} {
			if claims[claim] != want {
				t.Errorf("claim %s is %q, want %q", claim, claims[claim], want)
			}
		}
		if got := l.Count("update secrets"); got != 1 {
			t.Errorf("%d writes, want 1", got)
		}
	})
}

func TestOnlyWhatIsMissingIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(account(), tokenSecret("robot-token", func(s *v1.Secret) {
			s.Data = map[string][]byte{"token": []byte("mine"), "namespace": []byte("ns"), "ca.crt": []byte("old root"), "extra": []byte("kept")}
		}))
		runTokens(t, l)
		s := secret(t, l, "robot-token")
		if string(s.Data["token"]) != "mine" || string(s.Data["ca.crt"]) != "the root" || string(s.Data["extra"]) != "kept" {
			t.Errorf("the data are %s", s.Data)
		}
	})
}

func TestTokensGoWithTheirAccount(t *testing.T) {
	other := tokenSecret("of-another-uid", func(s *v1.Secret) { s.Annotations[v1.ServiceAccountUIDKey] = "uid-former" })
	t.Run("account deleted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := lab.New(t)
			l.Seed(account(), tokenSecret("robot-token", nil))
			runTokens(t, l)
			if err := l.Client.CoreV1().ServiceAccounts("ns").Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if secret(t, l, "robot-token") != nil {
				t.Error("the token outlived its account")
			}
		})
	})
	t.Run("account made anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := lab.New(t)
			l.Seed(account(), other)
			runTokens(t, l)
			if secret(t, l, other.Name) != nil {
				t.Error("the token of the former account is still there")
			}
		})
	})
	t.Run("account not in the cache yet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := lab.New(t)
			runTokens(t, l)
			l.Freeze("serviceaccounts")
			l.Seed(account(), tokenSecret("robot-token", nil))
			synctest.Wait()
			if s := secret(t, l, "robot-token"); s == nil || len(s.Data["token"]) == 0 {
				t.Errorf("the Secret is %v, want it filled", s)
			}
		})
	})
}

func TestADeletedSecretIsTakenOutOfTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(account("robot-token", "mine"), tokenSecret("robot-token", nil))
		runTokens(t, l)
		if err := l.Client.CoreV1().Secrets("ns").Delete(t.Context(), "robot-token", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a, err := l.Client.CoreV1().ServiceAccounts("ns").Get(t.Context(), "robot", metav1.GetOptions{})
		if err != nil || len(a.Secrets) != 1 || a.Secrets[0].Name != "mine" {
			t.Errorf("the account lists %v, error %v; want mine", a.Secrets, err)
		}
	})
}

// start of the time in a synctest bubble: 1 January 2000.
var day = func(n int) string { return time.Date(2000, 1, 1+n, 0, 0, 0, 0, time.UTC).Format(time.DateOnly) }

func TestUnusedTokensAreMarkedAndThenDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		bound := func(name string, labels map[string]string) *v1.Secret {
			return tokenSecret(name, func(s *v1.Secret) {
				s.CreationTimestamp = metav1.Now()
				s.Annotations[v1.ServiceAccountUIDKey], s.Labels = "uid-robot", labels
			})
		}
		l.Seed(account("unused", "used", "in-a-pod", "garbled"), bound("unused", nil), bound("used", map[string]string{tokens.LastUsedLabel: day(5)}),
			bound("in-a-pod", nil), bound("by-hand", nil), bound("garbled", map[string]string{tokens.LastUsedLabel: "yesterday"}),
			&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: v1.PodSpec{Volumes: []v1.Volume{{VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: "in-a-pod"}}}}}},
			&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tokens.TrackingConfigMap}, Data: map[string]string{"since": day(0)}})
		l.Run(t, accounts.NewLegacyCleaner(accounts.LegacyCleaner{Informers: l.Informers, Reader: l.Client, Client: l.Client, Period: 2 * 24 * time.Hour}))
		state := func() string {
			var out []string
			for _, name := range []string{"unused", "used", "in-a-pod", "by-hand", "garbled"} {
				switch s := secret(t, l, name); {
				case s == nil:
					out = append(out, name+" gone")
				case s.Labels[tokens.InvalidSinceLabel] != "":
					out = append(out, name+" invalid since "+s.Labels[tokens.InvalidSinceLabel])
				}
			}
			return strings.Join(out, ", ")
		}
		for _, step := range []struct {
			days int
			want string
		}{
			{3, ""},
			{4, "unused invalid since " + day(4)},
			{6, "unused invalid since " + day(4)},
			{7, "unused gone"},
			{8, "unused gone, used invalid since " + day(8)},
		} {
			time.Sleep(time.Until(time.Date(2000, 1, 1+step.days, 1, 0, 0, 0, time.UTC)))
			synctest.Wait()
			if got := state(); got != step.want {
				t.Errorf("day %d: %q, want %q", step.days, got, step.want)
			}
		}
	})
}

func TestOneSecretsFailureDoesNotEndTheCleaning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Fail = func(_, _, _ string, obj runtime.Object) error {
			if s, ok := obj.(*v1.Secret); ok && s.Name == "b" {
				return errors.New("refused")
			}
			return nil
		}
		names := []string{"a", "b", "c"}
		l.Seed(account(names...), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tokens.TrackingConfigMap}, Data: map[string]string{"since": day(-9)}})
		for _, name := range names {
			l.Seed(tokenSecret(name, func(s *v1.Secret) {
				s.Annotations[v1.ServiceAccountUIDKey], s.CreationTimestamp = "uid-robot", metav1.NewTime(time.Now().AddDate(-9, 0, 0))
			}))
		}
		l.Run(t, accounts.NewLegacyCleaner(accounts.LegacyCleaner{Informers: l.Informers, Reader: l.Client, Client: l.Client, Period: 2 * 24 * time.Hour}))
		for _, name := range names {
			if _, marked := secret(t, l, name).Labels[tokens.InvalidSinceLabel]; marked != (name != "b") {
				t.Errorf("%s: marked %v", name, marked)
			}
		}
	})
}

func TestTheCleanerWaitsUntilUsesWereRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(account("unused"), tokenSecret("unused", func(s *v1.Secret) {
			s.Annotations[v1.ServiceAccountUIDKey], s.CreationTimestamp = "uid-robot", metav1.NewTime(time.Now().AddDate(-9, 0, 0))
		}), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tokens.TrackingConfigMap}, Data: map[string]string{"since": day(0)}})
		l.Run(t, accounts.NewLegacyCleaner(accounts.LegacyCleaner{Informers: l.Informers, Reader: l.Client, Client: l.Client, Period: 2 * 24 * time.Hour}))
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		if s := secret(t, l, "unused"); s.Labels[tokens.InvalidSinceLabel] != "" {
			t.Error("a token was marked although its use has not been recorded for the period")
		}
	})
}
