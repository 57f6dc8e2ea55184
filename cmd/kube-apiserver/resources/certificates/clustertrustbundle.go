package certificates

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ClusterTrustBundles declares clustertrustbundles.
func ClusterTrustBundles() *kind.Kind[*certificatesv1.ClusterTrustBundle] {
	type T = *certificatesv1.ClusterTrustBundle
	return &kind.Kind[T]{
		Group: "certificates.k8s.io", Versions: []string{"v1", "v1beta1"}, Resource: "clustertrustbundles", Singular: "clustertrustbundle", ClusterScoped: true,
		New:               func() T { return &certificatesv1.ClusterTrustBundle{} },
		NewList:           func() runtime.Object { return &certificatesv1.ClusterTrustBundleList{} },
		ConditionalUpdate: true,
		Select:            func(b T, set fields.Set) { set["spec.signerName"] = b.Spec.SignerName },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("SignerName", func(b T) string { return kind.OrNone(b.Spec.SignerName) }),
			kind.Age[T](),
		},
	}
}
