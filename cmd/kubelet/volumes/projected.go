package volumes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trustBundleRefresh is how long a projected trust bundle may be old.
const trustBundleRefresh = 10 * time.Minute

func isNotFound(err error) bool { return apierrors.IsNotFound(err) }

// addProjected lays several sources over each other; a later one wins. next is when a token or a certificate must be
// renewed.
func (m *Manager) addProjected(ctx context.Context, files content, r request) (next time.Time, err error) {
	pod, p := r.pod, r.volume.Projected
	earliest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	var errs []error
	for i, s := range p.Sources {
		switch {
		case s.ConfigMap != nil:
			err = m.addConfigMap(files, pod, s.ConfigMap.Name, s.ConfigMap.Items, p.DefaultMode, s.ConfigMap.Optional)
		case s.Secret != nil:
			err = m.addSecret(files, pod, s.Secret.Name, s.Secret.Items, p.DefaultMode, s.Secret.Optional)
		case s.DownwardAPI != nil:
			err = m.addDownward(files, pod, s.DownwardAPI.Items, p.DefaultMode)
		case s.ServiceAccountToken != nil:
			var renew time.Time
			if renew, err = m.addToken(ctx, files, pod, s.ServiceAccountToken, p.DefaultMode); err == nil {
				earliest(renew)
			}
		case s.ClusterTrustBundle != nil:
			if err = m.addTrustBundle(ctx, files, s.ClusterTrustBundle, p.DefaultMode); err == nil {
				earliest(time.Now().Add(trustBundleRefresh))
			}
		case s.PodCertificate != nil:
			var renew time.Time
			if renew, err = m.addCertificate(ctx, files, r, i); err == nil {
				earliest(renew)
			}
		default:
			err = errors.New("a projected source is of a kind that this node does not serve")
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return next, errors.Join(errs...)
}

// addToken writes a token of the pod's service account, bound to the pod.
func (m *Manager) addToken(ctx context.Context, files content, pod *v1.Pod, s *v1.ServiceAccountTokenProjection, def *int32) (renew time.Time, err error) {
	var audiences []string
	if s.Audience != "" {
		audiences = []string{s.Audience}
	}
	tr, err := m.Tokens.Token(ctx, pod.Namespace, pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:         audiences,
		ExpirationSeconds: s.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}})
	if err != nil {
		return time.Time{}, err
	}
	files[s.Path] = secretFile(pod, []byte(tr.Status.Token), def)
	return m.Tokens.RefreshAt(tr), nil
}

// addCertificate writes the key of a pod and the certificates that a signer issued for it (KEP-4317), together or apart.
func (m *Manager) addCertificate(ctx context.Context, files content, r request, source int) (renew time.Time, err error) {
	if m.Certificates == nil {
		return time.Time{}, errors.New("a pod certificate cannot be requested: this kubelet has no --kubeconfig")
	}
	p := r.volume.Projected.Sources[source].PodCertificate
	key, chain, renew, err := m.Certificates.Certificate(ctx, r.pod, r.name, source, p)
	if err != nil {
		return time.Time{}, err
	}
	for path, data := range map[string][]byte{p.CredentialBundlePath: slices.Concat(key, chain), p.KeyPath: key, p.CertificateChainPath: chain} {
		if path != "" {
			files[path] = secretFile(r.pod, data, r.volume.Projected.DefaultMode)
		}
	}
	return renew, nil
}

// secretFile belongs to the pod's user alone, where the pod names its user or group (KEP-2451).
func secretFile(pod *v1.Pod, data []byte, def *int32) file {
	f := file{data: data, mode: mode(nil, def)}
	if f.uid = singleUser(pod); f.uid != nil || fsGroup(pod) != nil {
		f.mode = 0o600
	}
	return f
}

// singleUser is the user that all containers of the pod run as; nil: they differ, or an image decides.
func singleUser(pod *v1.Pod) *int64 {
	var user *int64
	if pod.Spec.SecurityContext != nil {
		user = pod.Spec.SecurityContext.RunAsUser
	}
	var found *int64
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			own := user
			if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
				own = c.SecurityContext.RunAsUser
			}
			if own == nil || (found != nil && *found != *own) {
				return nil
			}
			found = own
		}
	}
	return found
}

// addTrustBundle writes the certificates of one bundle, or of all that a signer has with the labels asked for
// (KEP-3257), in a stable order and each once. Without a label selector none of a signer's is asked for.
func (m *Manager) addTrustBundle(ctx context.Context, files content, s *v1.ClusterTrustBundleProjection, def *int32) error {
	if m.Client == nil {
		return errors.New("a cluster trust bundle cannot be read: this kubelet has no --kubeconfig")
	}
	bundles := m.Client.CertificatesV1().ClusterTrustBundles()
	var texts []string
	switch {
	case s.Name != nil:
		b, err := bundles.Get(ctx, *s.Name, metav1.GetOptions{})
		if err != nil {
			if isNotFound(err) && isOptional(s.Optional) {
				files[s.Path] = file{mode: mode(nil, def)}
				return nil
			}
			return err
		}
		texts = append(texts, b.Spec.TrustBundle)
	case s.SignerName != nil:
		if s.LabelSelector != nil {
			selector, err := metav1.LabelSelectorAsSelector(s.LabelSelector)
			if err != nil {
				return err
			}
			list, err := bundles.List(ctx, metav1.ListOptions{LabelSelector: selector.String(), FieldSelector: "spec.signerName=" + *s.SignerName})
			if err != nil {
				return err
			}
			for i := range list.Items {
				texts = append(texts, list.Items[i].Spec.TrustBundle)
			}
		}
		if len(texts) == 0 && !isOptional(s.Optional) {
			return fmt.Errorf("combination of signerName %q and labelSelector matched zero ClusterTrustBundles", *s.SignerName)
		}
	}
	files[s.Path] = file{data: mergeBundles(texts), mode: mode(nil, def)}
	return nil
}

// mergeBundles lists every certificate of the PEM texts once.
func mergeBundles(texts []string) []byte {
	const end = "-----END CERTIFICATE-----"
	seen := map[string]bool{}
	for _, text := range texts {
		for _, block := range strings.SplitAfter(text, end) {
			if i := strings.Index(block, "-----BEGIN CERTIFICATE-----"); i >= 0 && strings.HasSuffix(block, end) {
				seen[block[i:]] = true
			}
		}
	}
	blocks := make([]string, 0, len(seen))
	for b := range seen {
		blocks = append(blocks, b+"\n")
	}
	sort.Strings(blocks)
	return []byte(strings.Join(blocks, ""))
}
