package smoke

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// whoami gives the arguments with which kubectl asks the cluster, with no other credential than a token, whom it takes it for.
func (s space) whoami(token string) []string {
	s.t.Helper()
	authority := filepath.Join(s.t.TempDir(), "ca.crt")
	config := func(path string) string {
		return s.must("config", "view", "--raw", "--flatten", "-o", "go-template={{"+path+"}}")
	}
	pem := config(`(index (index .clusters 0).cluster "certificate-authority-data") | base64decode`)
	if err := os.WriteFile(authority, []byte(pem), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return []string{
		"--kubeconfig=/dev/null", "--server=" + config("(index .clusters 0).cluster.server"), "--certificate-authority=" + authority,
		"--token=" + token, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}",
	}
}

// TestTokenInASecret: a Secret that asks for the token of a service account gets one that authenticates; its use is dated, and it ends
// with the Secret; the Secret ends with the account.
func TestTokenInASecret(t *testing.T) {
	s := newSpace(t)
	s.must("create", "serviceaccount", "robot")
	manifest := `
apiVersion: v1
kind: Secret
metadata:
  name: NAME
  annotations: {kubernetes.io/service-account.name: robot}
type: kubernetes.io/service-account-token
`
	s.apply(strings.ReplaceAll(manifest, "NAME", "robot-token"))
	var token string
	s.until("the Secret to be filled", func() (string, bool) {
		out, err := s.try("get", "secret", "robot-token", "-o", "jsonpath={.data.token}")
		raw, decodeErr := base64.StdEncoding.DecodeString(out)
		token = string(raw)
		return "", err == nil && decodeErr == nil && strings.Count(token, ".") == 2
	})
	if out := s.must("get", "secret", "robot-token", "-o", "go-template={{index .data \"namespace\" | base64decode}} {{index .data \"ca.crt\" | base64decode}}"); !strings.HasPrefix(out, s.name+" -----BEGIN CERTIFICATE-----") {
		t.Errorf("namespace and ca.crt: %q", out)
	}
	whoami := s.whoami(token)
	if out := s.must(whoami...); out != "system:serviceaccount:"+s.name+":robot" {
		t.Errorf("the token is that of %q", out)
	}
	s.eventually(time.Now().UTC().Format(time.DateOnly), "get", "secret", "robot-token", "-o", `jsonpath={.metadata.labels.kubernetes\.io/legacy-token-last-used}`)

	s.must("label", "secret", "robot-token", "kubernetes.io/legacy-token-invalid-since=2020-01-01")
	s.until("a token marked invalid to be refused", func() (string, bool) {
		out, err := s.try(whoami...)
		return out, err != nil
	})
	s.must("label", "secret", "robot-token", "kubernetes.io/legacy-token-invalid-since-")
	s.until("the token to be good again", func() (string, bool) {
		out, err := s.try(whoami...)
		return out, err == nil
	})

	s.must("delete", "secret", "robot-token")
	s.until("the token of a deleted Secret to be refused", func() (string, bool) {
		out, err := s.try(whoami...)
		return out, err != nil
	})

	s.apply(strings.ReplaceAll(manifest, "NAME", "second"))
	s.must("delete", "serviceaccount", "robot")
	s.must("wait", "--for=delete", "secret/second", "--timeout=60s")
}
