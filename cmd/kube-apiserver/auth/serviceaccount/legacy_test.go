package serviceaccount

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/pkg/tokens"
)

// secretToken makes a token as kube-controller-manager puts it into a Secret, and the Secret.
func (w *world) secretToken() (string, *corev1.Secret) {
	token, err := w.secrets.Legacy(tokens.LegacyClaims{Namespace: "ns", ServiceAccountName: "robot", ServiceAccountUID: "sa-1", SecretName: "robot-token"})
	check(w.t, err)
	secret, err := w.client.CoreV1().Secrets("ns").Create(w.t.Context(), &corev1.Secret{
		ObjectMeta: meta("ns", "robot-token", "secret-2"), Type: corev1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token)},
	}, metav1.CreateOptions{})
	check(w.t, err)
	return token, secret
}

func TestTokenOfASecret(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, w *world, s *corev1.Secret)
		want string
	}{
		{"good", func(*testing.T, *world, *corev1.Secret) {}, ""},
		{"secret deleted", func(t *testing.T, w *world, s *corev1.Secret) {
			check(t, w.client.CoreV1().Secrets("ns").Delete(t.Context(), s.Name, metav1.DeleteOptions{}))
		}, "service account token has been invalidated"},
		{"token replaced", func(t *testing.T, w *world, s *corev1.Secret) {
			s.Data[corev1.ServiceAccountTokenKey] = []byte("other")
			_, err := w.client.CoreV1().Secrets("ns").Update(t.Context(), s, metav1.UpdateOptions{})
			check(t, err)
		}, "service account token has been invalidated"},
		{"marked invalid", func(t *testing.T, w *world, s *corev1.Secret) {
			s.Labels = map[string]string{tokens.InvalidSinceLabel: "2029-01-01"}
			_, err := w.client.CoreV1().Secrets("ns").Update(t.Context(), s, metav1.UpdateOptions{})
			check(t, err)
		}, "has been marked invalid"},
		{"account deleted", func(t *testing.T, w *world, _ *corev1.Secret) {
			check(t, w.client.CoreV1().ServiceAccounts("ns").Delete(t.Context(), "robot", metav1.DeleteOptions{}))
		}, "service account token has been invalidated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			token, secret := w.secretToken()
			tc.end(t, w, secret)
			resp, ok, err := w.legacy.AuthenticateToken(t.Context(), token)
			if tc.want == "" {
				if !ok || err != nil || resp.User.GetName() != "system:serviceaccount:ns:robot" {
					t.Fatalf("got %v %v %v", resp, ok, err)
				}
				s, err := w.client.CoreV1().Secrets("ns").Get(t.Context(), secret.Name, metav1.GetOptions{})
				check(t, err)
				if got := s.Labels[tokens.LastUsedLabel]; got != "2030-01-01" {
					t.Errorf("the use was dated %q", got)
				}
				return
			}
			if ok || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v %v, want %q", ok, err, tc.want)
			}
		})
	}
}

func TestSecretTokenIsNotABoundToken(t *testing.T) {
	w := newWorld(t)
	token, _ := w.secretToken()
	if _, ok, err := w.bound.AuthenticateToken(t.Context(), token); ok || err != nil {
		t.Fatalf("got %v %v, want it left to the other authenticator", ok, err)
	}
}
