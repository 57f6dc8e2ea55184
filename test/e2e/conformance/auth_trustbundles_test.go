package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bundles is what every behaviour of trust bundles begins with.
const bundles = "[sig-auth] [FeatureGate:ClusterTrustBundle] [FeatureGate:ClusterTrustBundleProjection] should "

// authority is a self-signed certificate, in PEM.
func (s *space) authority(name string) string {
	s.Helper()
	key := must[*ecdsa.PrivateKey](s)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der := must[[]byte](s)(x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// signer is a signer's name that is this test's alone.
func (s *space) signer() string { return s.Namespace + ".example.com/e2e" }

// bundle makes a bundle of new authorities, of a signer unless that is empty, and gives its name and its certificates.
func (s *space) bundle(signer, name string, labels map[string]string, authorities int) (string, []string) {
	s.Helper()
	full := s.Namespace + "-" + name
	if signer != "" {
		full = strings.ReplaceAll(signer, "/", ":") + ":" + name
	}
	var certificates []string
	for i := range authorities {
		certificates = append(certificates, s.authority(fmt.Sprintf("%s %d", full, i)))
	}
	must[*certificatesv1.ClusterTrustBundle](s)(s.Client.CertificatesV1().ClusterTrustBundles().Create(s.Context(), &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: full, Labels: labels}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: strings.Join(certificates, "")},
	}, metav1.CreateOptions{}))
	s.removesLater(certificatesv1.SchemeGroupVersion.WithResource("clustertrustbundles"), full)
	return full, certificates
}

// trusting is a pod with a volume at /v0, /v1 … for each list of projections.
func (s *space) trusting(volumes ...[]v1.ClusterTrustBundleProjection) *v1.Pod {
	return s.pod("p", "sleep 300", func(p *v1.Pod) {
		for i, projections := range volumes {
			source := &v1.ProjectedVolumeSource{}
			for j := range projections {
				source.Sources = append(source.Sources, v1.VolumeProjection{ClusterTrustBundle: &projections[j]})
			}
			name := fmt.Sprintf("v%d", i)
			p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: name, VolumeSource: v1.VolumeSource{Projected: source}})
			p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, v1.VolumeMount{Name: name, MountPath: "/" + name})
		}
	})
}

// trusts checks that a file of the pod holds these certificates, each once and in any order.
func (s *space) trusts(pod *v1.Pod, path string, want ...string) {
	s.Helper()
	got := strings.SplitAfter(s.inPod(pod, "cat "+path), "-----END CERTIFICATE-----")
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	got = slices.DeleteFunc(got, func(text string) bool { return text == "" })
	sorted := make([]string, 0, len(want))
	for _, w := range want {
		sorted = append(sorted, strings.TrimSpace(w))
	}
	slices.Sort(sorted)
	slices.Sort(got)
	if !slices.Equal(got, sorted) {
		s.Errorf("%s holds %d certificates, want %d:\n%s", path, len(got), len(want), strings.Join(got, "\n"))
	}
}

func TestTrustBundleByName(t *testing.T) {
	s := behaviour(t, bundles+"be able to mount a single ClusterTrustBundle by name [MinimumKubeletVersion:1.37]")
	free, ofFree := s.bundle("", "free", nil, 2)
	signed, ofSigned := s.bundle(s.signer(), "signed", nil, 1)
	pod := s.start(s.trusting([]v1.ClusterTrustBundleProjection{{Name: &free, Path: "free.pem"}, {Name: &signed, Path: "signed.pem"}}))
	s.trusts(pod, "/v0/free.pem", ofFree...)
	s.trusts(pod, "/v0/signed.pem", ofSigned...)
}

func TestTrustBundlesInManyVolumes(t *testing.T) {
	s := behaviour(t, bundles+"be able to specify multiple CTB volumes [MinimumKubeletVersion:1.37]")
	one, ofOne := s.bundle("", "one", nil, 1)
	two, ofTwo := s.bundle("", "two", nil, 1)
	pod := s.start(s.trusting([]v1.ClusterTrustBundleProjection{{Name: &one, Path: "a.pem"}}, []v1.ClusterTrustBundleProjection{{Name: &two, Path: "a.pem"}}))
	s.trusts(pod, "/v0/a.pem", ofOne...)
	s.trusts(pod, "/v1/a.pem", ofTwo...)
}

func TestManyTrustBundles(t *testing.T) {
	s := behaviour(t, bundles+"be able to mount a big number (>100) of CTBs [MinimumKubeletVersion:1.37]")
	const many = 110
	projections := make([]v1.ClusterTrustBundleProjection, many)
	certificates := make([][]string, many)
	for i := range projections {
		var name string
		name, certificates[i] = s.bundle("", fmt.Sprint(i), nil, 1)
		projections[i] = v1.ClusterTrustBundleProjection{Name: &name, Path: fmt.Sprintf("%d.pem", i)}
	}
	pod := s.start(s.trusting(projections))
	s.trusts(pod, "/v0/*.pem", slices.Concat(certificates...)...)
	s.trusts(pod, "/v0/7.pem", certificates[7]...)
}

func TestTrustBundlesOfASigner(t *testing.T) {
	s := behaviour(t, bundles+"be capable to mount multiple trust bundles by signer+labels can combine all signer CTBs with an empty label selector [MinimumKubeletVersion:1.37]")
	signer, other := s.signer(), s.Namespace+".example.com/other"
	_, first := s.bundle(signer, "a", map[string]string{"alive": "yes"}, 2)
	_, second := s.bundle(signer, "b", nil, 1)
	s.bundle(other, "c", map[string]string{"alive": "yes"}, 1)
	pod := s.start(s.trusting([]v1.ClusterTrustBundleProjection{{SignerName: &signer, LabelSelector: &metav1.LabelSelector{}, Path: "all.pem"}}))
	s.trusts(pod, "/v0/all.pem", append(first, second...)...)
}

func TestTrustBundlesBySignerAndLabel(t *testing.T) {
	s := behaviour(t, bundles+"be capable to mount multiple trust bundles by signer+labels can combine multiple CTBs with signer name and label selector [MinimumKubeletVersion:1.37]")
	signer, other := s.signer(), s.Namespace+".example.com/other"
	alive := map[string]string{"alive": "yes"}
	_, first := s.bundle(signer, "a", alive, 1)
	_, second := s.bundle(signer, "b", alive, 1)
	s.bundle(signer, "c", map[string]string{"alive": "no"}, 1)
	s.bundle(other, "d", alive, 1)
	pod := s.start(s.trusting([]v1.ClusterTrustBundleProjection{{SignerName: &signer, LabelSelector: &metav1.LabelSelector{MatchLabels: alive}, Path: "alive.pem"}}))
	s.trusts(pod, "/v0/alive.pem", append(first, second...)...)
}

func TestOptionalTrustBundlesByLabel(t *testing.T) {
	s := behaviour(t, bundles+"be capable to mount multiple trust bundles by signer+labels should start if only signer name and explicit label selector matches nothing + optional=true [MinimumKubeletVersion:1.37]")
	signer, yes := s.signer(), true
	s.bundle(signer, "a", map[string]string{"alive": "yes"}, 1)
	pod := s.start(s.trusting([]v1.ClusterTrustBundleProjection{{SignerName: &signer, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"alive": "thriving"}}, Optional: &yes, Path: "none.pem"}}))
	s.trusts(pod, "/v0/none.pem")
}

func TestOptionalTrustBundlesWithoutSelector(t *testing.T) {
	s := behaviour(t, bundles+"be capable to mount multiple trust bundles by signer+labels should start if only signer name and nil label selector + optional=true [MinimumKubeletVersion:1.37]")
	signer, yes := s.signer(), true
	s.bundle(signer, "a", nil, 1)
	pod := s.start(s.trusting([]v1.ClusterTrustBundleProjection{{SignerName: &signer, Optional: &yes, Path: "none.pem"}}))
	s.trusts(pod, "/v0/none.pem") // no selector selects nothing
}

// doesNotStart creates the pod and waits for the event of a volume that cannot be made, for this reason.
func (s *space) doesNotStart(pod *v1.Pod, reason string) {
	s.Helper()
	must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}))
	s.eventually("an event that says "+reason, func() (any, bool) {
		list := must[*v1.EventList](s)(s.Client.CoreV1().Events(s.Namespace).List(s.Context(), metav1.ListOptions{FieldSelector: "reason=FailedMount,involvedObject.name=" + pod.Name}))
		return list.Items, slices.ContainsFunc(list.Items, func(e v1.Event) bool { return strings.Contains(e.Message, reason) })
	})
	if phase := s.read("pod/"+pod.Name, ".status.phase"); phase != "Pending" {
		s.Errorf("the pod is %s", phase)
	}
}

func TestTrustBundleThatIsNot(t *testing.T) {
	s := behaviour(t, bundles+"prevent a pod from starting if: sets optional=false and the configured CTB does not exist [MinimumKubeletVersion:1.37]")
	name, no := s.Namespace+"-none", false
	s.doesNotStart(s.trusting([]v1.ClusterTrustBundleProjection{{Name: &name, Optional: &no, Path: "a.pem"}}), `"`+name+`" not found`)
}

func TestTrustBundlesThatMatchNothing(t *testing.T) {
	s := behaviour(t, bundles+"prevent a pod from starting if: sets optional=false and no trust bundle matches query [MinimumKubeletVersion:1.37]")
	signer, no := s.signer(), false
	s.bundle(signer, "a", nil, 1)
	s.doesNotStart(s.trusting([]v1.ClusterTrustBundleProjection{{SignerName: &signer, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"alive": "thriving"}}, Optional: &no, Path: "a.pem"}}), "matched zero ClusterTrustBundles")
}
