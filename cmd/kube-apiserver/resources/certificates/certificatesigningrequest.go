package certificates

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/endpoints/request"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// CertificateSigningRequests declares certificatesigningrequests. Who asks is written down by the server.
func CertificateSigningRequests() *kind.Kind[*certificatesv1.CertificateSigningRequest] {
	type T = *certificatesv1.CertificateSigningRequest
	return &kind.Kind[T]{
		Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Singular: "certificatesigningrequest",
		ShortNames: []string{"csr"}, ClusterScoped: true,
		New:            func() T { return &certificatesv1.CertificateSigningRequest{} },
		NewList:        func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		Spec:           kind.Field(func(r T) *certificatesv1.CertificateSigningRequestSpec { return &r.Spec }),
		Status:         kind.Field(func(r T) *certificatesv1.CertificateSigningRequestStatus { return &r.Status }),
		CreateOnUpdate: true,
		PrepareCreate:  noteRequester,
		PrepareUpdate:  func(_ context.Context, r, old T) { r.Spec = old.Spec },
		PrepareStatus:  prepareIssuance,
		Select:         func(r T, set fields.Set) { set["spec.signerName"] = r.Spec.SignerName },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Age[T](),
			kind.Text("SignerName", func(r T) string { return kind.OrNone(r.Spec.SignerName) }),
			kind.Text("Requestor", func(r T) string { return r.Spec.Username }),
			kind.Text("RequestedDuration", func(r T) string {
				if r.Spec.ExpirationSeconds == nil {
					return "<none>"
				}
				return duration.HumanDuration(time.Duration(*r.Spec.ExpirationSeconds) * time.Second)
			}),
			kind.Text("Condition", csrCondition),
		},
		Subresources: approval,
	}
}

// noteRequester records who made the request, whatever the request itself says.
func noteRequester(ctx context.Context, r *certificatesv1.CertificateSigningRequest) {
	r.Spec.Username, r.Spec.UID, r.Spec.Groups, r.Spec.Extra = "", "", nil, nil
	if user, ok := request.UserFrom(ctx); ok {
		r.Spec.Username = user.GetName()
		r.Spec.UID = user.GetUID()
		r.Spec.Groups = user.GetGroups()
		if extra := user.GetExtra(); len(extra) > 0 {
			r.Spec.Extra = make(map[string]certificatesv1.ExtraValue, len(extra))
			for k, v := range extra {
				r.Spec.Extra[k] = v
			}
		}
	}
}

// prepareIssuance is the signer's update: it sets the certificate and may add Failed, but approves nothing.
func prepareIssuance(_ context.Context, r, old *certificatesv1.CertificateSigningRequest) {
	keepDecision(r, old)
	stamp(r, old)
}

func isDecision(t certificatesv1.RequestConditionType) bool {
	return t == certificatesv1.CertificateApproved || t == certificatesv1.CertificateDenied
}

// keepDecision makes Approved and Denied conditions what they were.
func keepDecision(r, old *certificatesv1.CertificateSigningRequest) {
	var conditions []certificatesv1.CertificateSigningRequestCondition
	for _, c := range old.Status.Conditions {
		if isDecision(c.Type) {
			conditions = append(conditions, c)
		}
	}
	for _, c := range r.Status.Conditions {
		if !isDecision(c.Type) {
			conditions = append(conditions, c)
		}
	}
	r.Status.Conditions = conditions
}

// stamp dates new and changed conditions.
func stamp(r, old *certificatesv1.CertificateSigningRequest) {
	now := metav1.Now()
	for i := range r.Status.Conditions {
		c := &r.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = now
		}
		if c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = now
			for _, o := range old.Status.Conditions {
				if o.Type == c.Type && o.Status == c.Status && !o.LastTransitionTime.IsZero() {
					c.LastTransitionTime = o.LastTransitionTime
				}
			}
		}
	}
}

func csrCondition(r *certificatesv1.CertificateSigningRequest) string {
	var approved, denied, failed bool
	for _, c := range r.Status.Conditions {
		switch c.Type {
		case certificatesv1.CertificateApproved:
			approved = true
		case certificatesv1.CertificateDenied:
			denied = true
		case certificatesv1.CertificateFailed:
			failed = true
		}
	}
	state := "Pending"
	if denied {
		state = "Denied"
	} else if approved {
		state = "Approved"
	}
	if failed {
		state += ",Failed"
	}
	if len(r.Status.Certificate) > 0 {
		state += ",Issued"
	}
	return state
}
