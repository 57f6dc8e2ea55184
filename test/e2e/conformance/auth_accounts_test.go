package conformance

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func (s *space) account(name string) *v1.ServiceAccount {
	s.Helper()
	return must[*v1.ServiceAccount](s)(s.Client.CoreV1().ServiceAccounts(s.Namespace).Create(s.Context(),
		&v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"account": "ours"}}}, metav1.CreateOptions{}))
}

func TestTokenIsReviewed(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview")
	s.account("a")
	request := must[*authenticationv1.TokenRequest](s)(s.Client.CoreV1().ServiceAccounts(s.Namespace).CreateToken(s.Context(), "a", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))
	if request.Status.Token == "" {
		t.Fatal("the token is empty")
	}
	review := must[*authenticationv1.TokenReview](s)(s.Client.AuthenticationV1().TokenReviews().Create(s.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token}}, metav1.CreateOptions{}))
	if got := review.Status; !got.Authenticated || got.Error != "" || got.User.Username != "system:serviceaccount:"+s.Namespace+":a" {
		t.Errorf("the review says %+v", got)
	}
}

func TestUpdateOfAServiceAccount(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should update a ServiceAccount")
	client := s.Client.CoreV1().ServiceAccounts(s.Namespace)
	a := s.account("a")
	no := false
	a.AutomountServiceAccountToken = &no
	must[*v1.ServiceAccount](s)(client.Update(s.Context(), a, metav1.UpdateOptions{}))
	if got := must[*v1.ServiceAccount](s)(client.Get(s.Context(), "a", metav1.GetOptions{})); got.AutomountServiceAccountToken == nil || *got.AutomountServiceAccountToken {
		t.Errorf("updated: automountServiceAccountToken is %v", got.AutomountServiceAccountToken)
	}
}

func TestLifeOfAServiceAccount(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount")
	ours := metav1.ListOptions{LabelSelector: "account=ours"}
	client := s.Client.CoreV1().ServiceAccounts(s.Namespace)
	events := must[watch.Interface](s)(client.Watch(s.Context(), ours))
	defer events.Stop()
	s.account("a")
	s.expects(events, watch.Added)
	must[*v1.ServiceAccount](s)(client.Patch(s.Context(), "a", types.StrategicMergePatchType, []byte(`{"automountServiceAccountToken":false}`), metav1.PatchOptions{}))
	s.expects(events, watch.Modified)
	list := must[*v1.ServiceAccountList](s)(s.Client.CoreV1().ServiceAccounts("").List(s.Context(), metav1.ListOptions{LabelSelector: "account=ours", FieldSelector: "metadata.namespace=" + s.Namespace}))
	if len(list.Items) != 1 || list.Items[0].AutomountServiceAccountToken == nil || *list.Items[0].AutomountServiceAccountToken {
		t.Errorf("listed: %v", list.Items)
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
		t.Fatal(err)
	}
	s.expects(events, watch.Deleted)
}

func TestRootCertificateInEachNamespace(t *testing.T) {
	s := behaviour(t, "[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace")
	const name = "kube-root-ca.crt"
	client := s.Client.CoreV1().ConfigMaps(s.Namespace)
	certificate := ""
	holds := func(what string) {
		s.Helper()
		s.eventually(what, func() (any, bool) {
			c, err := client.Get(s.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err, false
			}
			if certificate == "" {
				certificate = c.Data["ca.crt"]
			}
			return c.Data, certificate != "" && len(c.Data) == 1 && c.Data["ca.crt"] == certificate
		})
	}
	holds("the certificate to be there")
	if err := client.Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	holds("the certificate to be there again")
	must[*v1.ConfigMap](s)(client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"data":{"ca.crt":"","more":"x"}}`), metav1.PatchOptions{}))
	holds("the certificate to be as it was")
}
