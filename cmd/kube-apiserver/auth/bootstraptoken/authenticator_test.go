package bootstraptoken

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

type secrets map[string]*corev1.Secret

func (s secrets) Get(name string) (*corev1.Secret, error) {
	if found, ok := s[name]; ok {
		return found, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

func TestAuthenticateToken(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	const token = "abcdef.0123456789abcdef"
	for _, tc := range []struct {
		name   string
		token  string
		change func(s *corev1.Secret)
		groups string
	}{
		{"good", token, nil, "system:bootstrappers"},
		{"extra groups", token, func(s *corev1.Secret) { s.Data["auth-extra-groups"] = []byte("system:bootstrappers:x:y") }, "system:bootstrappers system:bootstrappers:x:y"},
		{"not expired yet", token, func(s *corev1.Secret) { s.Data["expiration"] = []byte("2030-01-01T00:00:01Z") }, "system:bootstrappers"},
		{"expired", token, func(s *corev1.Secret) { s.Data["expiration"] = []byte("2030-01-01T00:00:00Z") }, ""},
		{"unreadable expiry", token, func(s *corev1.Secret) { s.Data["expiration"] = []byte("tomorrow") }, ""},
		{"another secret", "abcdef.0123456789abcdeg", nil, ""},
		{"unknown id", "abcdeg.0123456789abcdef", nil, ""},
		{"no token at all", "eyJ.x.y", nil, ""},
		{"token with more behind", token + "\n", nil, ""},
		{"not for authentication", token, func(s *corev1.Secret) { s.Data["usage-bootstrap-authentication"] = []byte("false") }, ""},
		{"wrong type", token, func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, ""},
		{"id differs from name", token, func(s *corev1.Secret) { s.Data["token-id"] = []byte("aaaaaa") }, ""},
		{"being deleted", token, func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }, ""},
		{"group outside the prefix", token, func(s *corev1.Secret) { s.Data["auth-extra-groups"] = []byte("system:masters") }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &corev1.Secret{Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{
				"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-authentication": []byte("true"),
			}}
			if tc.change != nil {
				tc.change(s)
			}
			a := New(secrets{"bootstrap-token-abcdef": s}, clocktesting.NewFakePassiveClock(now))
			resp, ok, err := a.AuthenticateToken(t.Context(), tc.token)
			if err != nil {
				t.Fatal(err)
			}
			if ok != (tc.groups != "") {
				t.Fatalf("accepted is %v", ok)
			}
			if ok && (resp.User.GetName() != "system:bootstrap:abcdef" || strings.Join(resp.User.GetGroups(), " ") != tc.groups) {
				t.Fatalf("got %v", resp.User)
			}
		})
	}
}
