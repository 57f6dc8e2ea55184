package protection

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kms/pkg/service"

	"pilotis.dev/test/e2e/daemons"
)

// key is 32 bytes of base64 that a name stands for.
func key(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// encrypted are kinds of objects, each with the provider that its test uses.
var encrypted = map[string]string{"secrets": "aescbc", "configmaps": "aesgcm", "serviceaccounts": "secretbox"}

// encryption is a configuration by which all of them are written by the first key and read by any.
func encryption(keys ...string) string {
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
	for resource, provider := range encrypted {
		var list []string
		for _, k := range keys {
			list = append(list, fmt.Sprintf("{name: %s, secret: %s}", k, key(k)))
		}
		text += fmt.Sprintf("- {resources: [%s], providers: [{%s: {keys: [%s]}}, {identity: {}}]}\n", resource, provider, strings.Join(list, ", "))
	}
	return text
}

const unencrypted = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{identity: {}}]}]\n"

// put writes an object of each kind with something confidential in it, or writes it anew.
func (s *server) put(t *testing.T, name string) {
	t.Helper()
	for resource := range encrypted {
		kind := map[string]string{"secrets": "Secret", "configmaps": "ConfigMap", "serviceaccounts": "ServiceAccount"}[resource]
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":%q,"metadata":{"name":%q,"annotations":{"password":%q,"at":%q}}}`, kind, name, confidential, time.Now())
		got := send(t, s.admin, "PATCH", "/api/v1/namespaces/default/"+resource+"/"+name+"?fieldManager=test", body, "Content-Type", "application/apply-patch+yaml")
		if got.code/100 != 2 {
			t.Fatalf("%s %s: %v", resource, name, got)
		}
	}
}

// written expects the objects' bytes in etcd to be of a key, or of none, and the server to read them all the same.
func (s *server) written(t *testing.T, name, key string) {
	t.Helper()
	for resource, provider := range encrypted {
		prefix := "k8s\x00" // of protobuf
		if key != "" {
			prefix = "k8s:enc:" + provider + ":v1:" + key + ":"
		}
		raw := s.stored(t, resource+"/default/"+name)
		if !strings.HasPrefix(raw, prefix) || strings.Contains(raw, confidential) != (key == "") {
			t.Errorf("%s %s in etcd: %q, want %q", resource, name, raw[:min(60, len(raw))], prefix)
		}
		if got := get(t, s.admin, "/api/v1/namespaces/default/"+resource+"/"+name); got.code != 200 || !strings.Contains(got.body, confidential) {
			t.Errorf("%s %s is read as %v", resource, name, got)
		}
	}
}

// Every provider writes what it says, keys rotate while the server runs, and what was written by an old key is read as long as
// the key is there.
func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	path := temporary(t, "encryption.yaml", unencrypted)
	plain := serve(t, "--encryption-provider-config="+path)
	plain.put(t, "plain")
	plain.written(t, "plain", "")
	file(t, path, encryption("one"))
	s := serve(t, "--encryption-provider-config="+path, "--encryption-provider-config-automatic-reload=true")
	s.put(t, "old")
	s.written(t, "plain", "")
	s.written(t, "old", "one")
	file(t, path, encryption("two", "one")) // looked at once a minute
	daemons.Within(t, 3*time.Minute, "Secrets to be written by the new key", func() (string, bool) {
		s.put(t, "new")
		raw := s.stored(t, "secrets/default/new")
		return raw[:30], strings.HasPrefix(raw, "k8s:enc:aescbc:v1:two:")
	})
	s.put(t, "new") // the file may have been read between two kinds
	s.written(t, "new", "two")
	s.written(t, "old", "one")
	for _, name := range []string{"old", "plain"} { // as a storage migration does
		s.put(t, name)
		s.written(t, name, "two")
	}
	// The first server has no key: what is encrypted cannot be read, and nothing else takes its place.
	if got := get(t, plain.admin, "/api/v1/namespaces/default/secrets/old"); got.code != 500 || strings.Contains(got.body, confidential) {
		t.Errorf("a Secret whose key is gone is read: %v", got)
	}
}

// A broken file changes nothing, and is told.
func TestBrokenEncryptionConfiguration(t *testing.T) {
	t.Parallel()
	path := temporary(t, "encryption.yaml", encryption("one"))
	s := serve(t, "--encryption-provider-config="+path, "--encryption-provider-config-automatic-reload=true")
	file(t, path, "kind: Nonsense")
	daemons.Within(t, 3*time.Minute, "the failed reload to be counted", func() (string, bool) {
		for line := range strings.Lines(get(t, s.admin, "/metrics").body) {
			if strings.HasPrefix(line, "apiserver_encryption_config_controller_automatic_reloads_total") && strings.Contains(line, `status="failure"`) {
				return line, !strings.HasSuffix(strings.TrimSpace(line), " 0")
			}
		}
		return "no such metric", false
	})
	s.put(t, "later")
	s.written(t, "later", "one")
}

// keyService is a KMS plugin that encrypts by a pad of the key's name.
type keyService struct {
	keyID atomic.Pointer[string]
	down  atomic.Bool
	calls atomic.Int64
}

func (k *keyService) pad(keyID string, data []byte) []byte {
	out := bytes.Clone(data)
	sum := sha256.Sum256([]byte(keyID))
	for i := range out {
		out[i] ^= sum[i%len(sum)]
	}
	return out
}

func (k *keyService) Encrypt(_ context.Context, _ string, data []byte) (*service.EncryptResponse, error) {
	k.calls.Add(1)
	if k.down.Load() {
		return nil, errors.New("the key service is down")
	}
	id := *k.keyID.Load()
	return &service.EncryptResponse{Ciphertext: k.pad(id, data), KeyID: id}, nil
}

func (k *keyService) Decrypt(_ context.Context, _ string, r *service.DecryptRequest) ([]byte, error) {
	if k.down.Load() {
		return nil, errors.New("the key service is down")
	}
	return k.pad(r.KeyID, r.Ciphertext), nil
}

func (k *keyService) Status(context.Context) (*service.StatusResponse, error) {
	if k.down.Load() {
		return nil, errors.New("the key service is down")
	}
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: *k.keyID.Load()}, nil
}

func TestEncryptionByKeyService(t *testing.T) {
	first := "key-1"
	k := &keyService{}
	k.keyID.Store(&first)
	socket := filepath.Join(t.TempDir(), "kms.sock")
	plugin := service.NewGRPCService(socket, 5*time.Second, k)
	go func() { _ = plugin.ListenAndServe() }() // ends with Close
	t.Cleanup(plugin.Close)
	t.Parallel()
	path := temporary(t, "encryption.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: "+
		"[{kms: {apiVersion: v2, name: vault, endpoint: 'unix://"+socket+"', timeout: 3s}}, {identity: {}}]}]\n")
	s := serve(t, "--encryption-provider-config="+path)
	sealed := func(name string) {
		if raw := s.stored(t, "secrets/default/"+name); !strings.HasPrefix(raw, "k8s:enc:kms:v2:vault:") || strings.Contains(raw, confidential) {
			t.Errorf("%s in etcd: %q", name, raw)
		}
		got, err := s.client.CoreV1().Secrets("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || string(got.Data["password"]) != confidential {
			t.Errorf("%s is read as %v: %v", name, got, err)
		}
	}
	for i := range 20 {
		s.secret(t, fmt.Sprint("s-", i))
		sealed(fmt.Sprint("s-", i))
	}
	if n := k.calls.Load(); n == 0 || n > 5 {
		t.Errorf("the key service was asked %d times to encrypt 20 Secrets, want once or so: a seed serves many", n)
	}
	if got := get(t, s.admin, "/healthz/kms-providers"); got.code != 200 {
		t.Errorf("health of the key service: %v", got)
	}
	k.down.Store(true)
	daemons.Eventually(t, "the server to tell of the key service", func() (string, bool) {
		got := get(t, s.admin, "/healthz/kms-providers")
		return got.String(), got.code == 500
	})
	k.down.Store(false)
	daemons.Eventually(t, "the key service to be well", func() (string, bool) {
		got := get(t, s.admin, "/healthz/kms-providers")
		return got.String(), got.code == 200
	})
	sealed("s-1")
}
