package conformance

import (
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// credentials is where a pod finds the token of its service account, the API's certificate authority and its namespace.
const credentials = "/var/run/secrets/kubernetes.io/serviceaccount"

// reviewed is who the API says a token is of.
func (s *space) reviewed(token string, audiences ...string) authenticationv1.TokenReviewStatus {
	s.Helper()
	return must[*authenticationv1.TokenReview](s)(s.Client.AuthenticationV1().TokenReviews().Create(s.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})).Status
}

func TestMountedToken(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should mount an API token into pods")
	s.account("a")
	pod := s.start(s.pod("p", "sleep 300", func(p *v1.Pod) { p.Spec.ServiceAccountName = "a" }))
	if status := s.reviewed(s.inPod(pod, "cat "+credentials+"/token")); !status.Authenticated || status.User.Username != "system:serviceaccount:"+s.Namespace+":a" || status.User.Extra["authentication.kubernetes.io/pod-name"][0] != "p" {
		t.Errorf("the mounted token's review: %+v", status)
	}
	root := must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Get(s.Context(), "kube-root-ca.crt", metav1.GetOptions{}))
	if got := s.inPod(pod, "cat "+credentials+"/ca.crt"); got != strings.TrimSpace(root.Data["ca.crt"]) {
		t.Errorf("the mounted authority differs from the namespace's:\n%s", got)
	}
	if got := s.inPod(pod, "cat "+credentials+"/namespace"); got != s.Namespace {
		t.Errorf("the mounted namespace is %q", got)
	}
}

func TestOptedOutOfTheToken(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should allow opting out of API token automount")
	yes, no := true, false
	choices := []struct {
		name   string
		choice *bool
	}{{"default", nil}, {"mount", &yes}, {"nomount", &no}}
	for _, account := range choices {
		must[*v1.ServiceAccount](s)(s.Client.CoreV1().ServiceAccounts(s.Namespace).Create(s.Context(),
			&v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "of-" + account.name}, AutomountServiceAccountToken: account.choice}, metav1.CreateOptions{}))
	}
	for _, of := range choices {
		for _, account := range choices {
			mounts := account.choice != &no
			if of.choice != nil {
				mounts = *of.choice
			}
			pod := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod(of.name+"-"+account.name, "sleep 300", func(p *v1.Pod) {
				p.Spec.ServiceAccountName, p.Spec.AutomountServiceAccountToken = "of-"+account.name, of.choice
			}), metav1.CreateOptions{}))
			if has := slices.ContainsFunc(pod.Spec.Containers[0].VolumeMounts, func(m v1.VolumeMount) bool { return m.MountPath == credentials }); has != mounts {
				t.Errorf("a pod that says %s with an account that says %s: mounted %v, want %v", of.name, account.name, has, mounts)
			}
		}
	}
}

func TestProjectedToken(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should mount projected service account token")
	seconds, mode := int64(600), int32(0o640)
	pod := s.start(s.pod("p", "sleep 300", func(p *v1.Pod) {
		p.Spec.Volumes = []v1.Volume{{Name: "t", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []v1.VolumeProjection{
			{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Path: "token", Audience: "vault", ExpirationSeconds: &seconds}},
		}}}}}
		p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "t", MountPath: "/t"}}
	}))
	if got := s.inPod(pod, "ls -lL /t/token"); !strings.HasPrefix(got, "-rw-r-----") {
		t.Errorf("the token's mode: %s", got)
	}
	token := s.inPod(pod, "cat /t/token")
	if status := s.reviewed(token, "vault"); !status.Authenticated || status.User.Username != "system:serviceaccount:"+s.Namespace+":default" {
		t.Errorf("the review for its audience: %+v", status)
	}
	if status := s.reviewed(token, "another"); status.Authenticated {
		t.Errorf("the review for another audience: %+v", status)
	}
}

func TestIssuerDiscovery(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer")
	seconds := int64(600)
	pod := s.start(s.pod("p", "sleep 300", func(p *v1.Pod) {
		p.Spec.Volumes = []v1.Volume{{Name: "t", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
			{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Path: "token", Audience: "oidc-discovery-test", ExpirationSeconds: &seconds}},
		}}}}}
		p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "t", MountPath: "/t"}}
	}))
	if got := s.inPod(pod, "witness token --file=/t/token --audience=oidc-discovery-test"); got != "system:serviceaccount:"+s.Namespace+":default" {
		t.Errorf("the token is verified as that of %q", got)
	}
}
