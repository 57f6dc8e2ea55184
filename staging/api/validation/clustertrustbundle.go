package validation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxTrustBundle     = 1 << 20
	maxUserAnnotations = 256 * 1024
)

// trustBundleName ties the name of a bundle to its signer: example.com/a → example.com:a:name (KEP-3257).
func trustBundleName(signer string) nameRule {
	return func(name string, prefix bool) []string {
		if signer == "" {
			if strings.Contains(name, ":") {
				return []string{"ClusterTrustBundle without signer name must not have \":\" in its name"}
			}
			return subdomainName(name, prefix)
		}
		required := strings.ReplaceAll(signer, "/", ":") + ":"
		if !strings.HasPrefix(name, required) {
			return []string{fmt.Sprintf("ClusterTrustBundle for signerName %s must be named with prefix %s", signer, required)}
		}
		return subdomainName(strings.TrimPrefix(name, required), prefix)
	}
}

// trustBundleSigner is the signer that the name of a bundle tells of, empty for a bundle without one.
func trustBundleSigner(name string) string {
	return strings.ReplaceAll(name[:max(strings.LastIndex(name, ":"), 0)], ":", "/")
}

func trustBundleCreate(b *certificatesv1.ClusterTrustBundle) *faults {
	f := metadata(&b.ObjectMeta, cluster, trustBundleName(b.Spec.SignerName))
	trustBundleSpec(f, &b.Spec)
	return f
}

func trustBundleUpdate(b, old *certificatesv1.ClusterTrustBundle) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	trustBundleSpec(f, &b.Spec)
	f.immutable(field.NewPath("spec"), "signerName", b.Spec.SignerName, old.Spec.SignerName)
	return f
}

func trustBundleSpec(f *faults, s *certificatesv1.ClusterTrustBundleSpec) {
	p := field.NewPath("spec")
	if s.SignerName != "" {
		signerName(f, s.SignerName, p)
	}
	if len(s.TrustBundle) > maxTrustBundle {
		f.tooLong(p, "trustBundle", maxTrustBundle)
		return
	}
	if err := trustAnchors(s.TrustBundle); err != nil {
		f.invalid(p, "trustBundle", "<value omitted>", err.Error())
	}
}

// trustAnchors accepts PEM with one certificate or more, each once, without headers.
func trustAnchors(text string) error {
	var all [][]byte
	raw := []byte(text)
	for {
		var block *pem.Block
		block, raw = pem.Decode(raw)
		if block == nil {
			break
		}
		i := len(all)
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("entry %d has bad block type: %v", i, block.Type)
		}
		if len(block.Headers) > 0 {
			return fmt.Errorf("entry %d has PEM block headers", i)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("entry %d does not parse as X.509", i)
		}
		for j := range all {
			if bytes.Equal(all[j], block.Bytes) {
				return fmt.Errorf("duplicate trust anchor (indices [%d %d])", j, i)
			}
		}
		all = append(all, block.Bytes)
	}
	if len(all) == 0 {
		return errors.New("at least one trust anchor must be provided")
	}
	return nil
}
