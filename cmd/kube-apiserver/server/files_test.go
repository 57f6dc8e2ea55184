package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesThatTheLibraryReadsLateOrLenientlyAreChecked(t *testing.T) {
	const (
		policy     = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
		encryption = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - secretbox: {keys: [{name: one, secret: %KEY}]}\n  - identity: {}\n"
		key        = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	)
	for _, tt := range []struct {
		name, audit, encryption string
		want                    []string // in the error; none: no error
	}{
		{"good files", policy, strings.ReplaceAll(encryption, "%KEY", key), nil},
		{"a misspelt field of the policy", strings.Replace(policy, "level", "lvel", 1), "", []string{"--audit-policy-file=", `unknown field "rules[0].lvel"`}},
		{"a misspelt field of the encryption", "", strings.NewReplacer("providers", "provider", "%KEY", key).Replace(encryption), []string{"--encryption-provider-config=", `unknown field "resources[0].provider"`}},
		{"a key of the wrong length", "", strings.ReplaceAll(encryption, "%KEY", "c2hvcnQ="), []string{"--encryption-provider-config=", "resources[0].providers[0].secretbox.keys[0].secret", "length"}},
		{"another kind", "", policy, []string{"--encryption-provider-config=", "Policy"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := NewOptions()
			put := func(content string) string {
				if content == "" {
					return ""
				}
				path := filepath.Join(t.TempDir(), "file.yaml")
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			o.Audit.PolicyFile, o.Etcd.EncryptionProviderConfigFilepath = put(tt.audit), put(tt.encryption)
			err := o.checkFiles()
			if len(tt.want) == 0 && err != nil {
				t.Fatal(err)
			}
			for _, part := range tt.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if err != nil && (strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "c2hvcnQ=")) {
				t.Errorf("a key is told: %v", err)
			}
		})
	}
}
