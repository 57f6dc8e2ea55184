package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Limits of a token that is projected into a pod.
const (
	minTokenSeconds = 10 * 60
	maxTokenSeconds = 1 << 32
)

func projected(f *faults, v *corev1.ProjectedVolumeSource, p *field.Path) {
	filesMode(f, v.DefaultMode, p)
	owner(f, v.DefaultUser, p, "defaultUser")
	taken := paths{f: f}
	for i := range v.Sources {
		projection(f, &v.Sources[i], &taken, p.Child("sources").Index(i))
	}
}

// paths finds files that two sources write.
type paths struct {
	f    *faults
	seen seen[string]
}

func (t *paths) take(path string, p *field.Path, name string) {
	if path != "" && t.seen.again(path) {
		t.f.invalid(p, name, path, "conflicting duplicate paths")
	}
}

func projection(f *faults, s *corev1.VolumeProjection, taken *paths, p *field.Path) {
	one := choice{f: f, path: p, noun: "volume type"}
	if s.Secret != nil && one.first("secret") {
		at := p.Child("secret")
		f.present(at, "name", s.Secret.Name)
		keysToPaths(f, s.Secret.Items, at.Child("items"))
		for i := range s.Secret.Items {
			taken.take(s.Secret.Items[i].Path, at.Child("items").Index(i), "path")
		}
	}
	if s.ConfigMap != nil && one.first("configMap") {
		at := p.Child("configMap")
		f.present(at, "name", s.ConfigMap.Name)
		keysToPaths(f, s.ConfigMap.Items, at.Child("items"))
		for i := range s.ConfigMap.Items {
			taken.take(s.ConfigMap.Items[i].Path, at.Child("items").Index(i), "path")
		}
	}
	if s.DownwardAPI != nil && one.first("downwardAPI") {
		at := p.Child("downwardAPI")
		for i := range s.DownwardAPI.Items {
			downwardFile(f, &s.DownwardAPI.Items[i], at)
			taken.take(s.DownwardAPI.Items[i].Path, at, "path")
		}
	}
	if s.ServiceAccountToken != nil && one.first("serviceAccountToken") {
		at := p.Child("serviceAccountToken")
		t := s.ServiceAccountToken
		if t.ExpirationSeconds != nil {
			if *t.ExpirationSeconds < minTokenSeconds {
				f.invalid(at, "expirationSeconds", *t.ExpirationSeconds, "may not specify a duration less than 10 minutes")
			}
			if *t.ExpirationSeconds > maxTokenSeconds {
				f.invalid(at, "expirationSeconds", *t.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds")
			}
		}
		owner(f, t.User, at, "user")
		if f.present(at, "path", t.Path) {
			localPath(f, t.Path, at, "path")
			taken.take(t.Path, at, "path")
		}
	}
	if s.ClusterTrustBundle != nil && one.first("clusterTrustBundle") {
		trustBundle(f, s.ClusterTrustBundle, taken, p.Child("clusterTrustBundle"))
	}
	if s.PodCertificate != nil && one.first("podCertificate") {
		podCertificate(f, s.PodCertificate, taken, p.Child("podCertificate"))
	}
	one.done()
}

// trustBundle names one bundle, or all of a signer (KEP-3257).
func trustBundle(f *faults, t *corev1.ClusterTrustBundleProjection, taken *paths, p *field.Path) {
	byName, bySigner := t.Name != nil, t.SignerName != nil
	switch {
	case byName && bySigner:
		f.invalid(p, "", t, "only one of name and signerName may be used")
	case byName:
		if f.present(p, "name", *t.Name) {
			f.messages(p, "name", *t.Name, trustBundleName(trustBundleSigner(*t.Name))(*t.Name, false))
		}
		if t.LabelSelector != nil {
			f.invalid(p, "labelSelector", t.LabelSelector, "labelSelector must be unset if name is specified")
		}
	case bySigner:
		if f.present(p, "signerName", *t.SignerName) {
			signerName(f, *t.SignerName, p)
		}
		selector(f, t.LabelSelector, true, p.Child("labelSelector"))
	default:
		f.required(p, "", "either name or signerName must be specified")
	}
	owner(f, t.User, p, "user")
	if f.present(p, "path", t.Path) {
		localPath(f, t.Path, p, "path")
		taken.take(t.Path, p, "path")
	}
}

// Limits of a certificate for a pod (KEP-4317).
const (
	minCertificateSeconds       = 60 * 60
	maxCertificateSeconds       = 91 * 24 * 60 * 60
	maxKubernetesCertificateAge = 24 * 60 * 60
)

func podCertificate(f *faults, c *corev1.PodCertificateProjection, taken *paths, p *field.Path) {
	if f.present(p, "signerName", c.SignerName) {
		signerName(f, c.SignerName, p)
	}
	requireOneOf(f, p, "keyType", c.KeyType, "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096")
	if c.MaxExpirationSeconds != nil {
		certificateAge(f, *c.MaxExpirationSeconds, c.SignerName, p)
	}
	if c.CredentialBundlePath == "" && c.KeyPath == "" && c.CertificateChainPath == "" {
		f.required(p, "", "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")
	}
	for _, file := range []struct{ name, path string }{
		{"credentialBundlePath", c.CredentialBundlePath}, {"keyPath", c.KeyPath}, {"certificateChainPath", c.CertificateChainPath},
	} {
		if file.path != "" {
			localPath(f, file.path, p, file.name)
			taken.take(file.path, p, file.name)
		}
	}
	userAnnotations(f, c.UserAnnotations, p.Child("userAnnotations"))
	owner(f, c.User, p, "user")
}

func certificateAge(f *faults, seconds int32, signer string, p *field.Path) {
	limit := int32(maxCertificateSeconds)
	if kubernetesSigner(signer) {
		limit = maxKubernetesCertificateAge
	}
	if seconds < minCertificateSeconds || seconds > limit {
		f.invalid(p, "maxExpirationSeconds", seconds, fmt.Sprintf("must be in the range [%d, %d]", minCertificateSeconds, limit))
	}
}
