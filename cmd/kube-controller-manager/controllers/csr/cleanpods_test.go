package csr_test

import (
	"testing"
	"testing/synctest"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/csr"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestPodCertificateRequestsStayAQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(&certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r", CreationTimestamp: metav1.Now()}})
		l.Run(t, csr.NewPodRequestCleaner(l.Informers.Certificates().V1().PodCertificateRequests(), l.Client, clock.RealClock{}))
		there := func() bool {
			synctest.Wait()
			_, err := l.Client.CertificatesV1().PodCertificateRequests("ns").Get(t.Context(), "r", metav1.GetOptions{})
			return !apierrors.IsNotFound(err)
		}
		time.Sleep(15*time.Minute - time.Second)
		if !there() {
			t.Error("deleted too early")
		}
		time.Sleep(time.Second)
		if there() {
			t.Error("still there after 15 minutes")
		}
	})
}
