package certificates

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PodCertificateRequests declares podcertificaterequests.
func PodCertificateRequests() *kind.Kind[*certificatesv1.PodCertificateRequest] {
	type T = *certificatesv1.PodCertificateRequest
	return &kind.Kind[T]{
		Group: "certificates.k8s.io", Versions: []string{"v1", "v1beta1"}, Resource: "podcertificaterequests", Singular: "podcertificaterequest",
		New:     func() T { return &certificatesv1.PodCertificateRequest{} },
		NewList: func() runtime.Object { return &certificatesv1.PodCertificateRequestList{} },
		Spec:    kind.Field(func(r T) *certificatesv1.PodCertificateRequestSpec { return &r.Spec }),
		Status:  kind.Field(func(r T) *certificatesv1.PodCertificateRequestStatus { return &r.Status }),
		Select: func(r T, set fields.Set) {
			set["spec.signerName"], set["spec.podName"], set["spec.nodeName"] = r.Spec.SignerName, r.Spec.PodName, string(r.Spec.NodeName)
		},
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("PodName", func(r T) string { return r.Spec.PodName }),
			kind.Text("ServiceAccountName", func(r T) string { return r.Spec.ServiceAccountName }),
			kind.Text("NodeName", func(r T) string { return string(r.Spec.NodeName) }),
			kind.Text("SignerName", func(r T) string { return r.Spec.SignerName }),
			kind.Text("State", func(r T) string {
				for _, c := range r.Status.Conditions {
					if c.Status == metav1.ConditionTrue {
						return c.Type
					}
				}
				return "Pending"
			}),
			kind.Age[T](),
		},
	}
}
