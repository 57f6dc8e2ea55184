// Package csr handles CertificateSigningRequests: it approves those of kubelets for their own nodes, signs approved
// ones, and removes old ones.
package csr

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

func keyOf(obj any) []reconcile.Key {
	if o, ok := obj.(*certificatesv1.CertificateSigningRequest); ok {
		return []reconcile.Key{{Name: o.Name}}
	}
	return nil
}

// condition finds whether a request was approved, denied or failed.
func condition(r *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == kind })
}

// A request that the requestor may not have approved is looked at again, since the permission may be granted a moment later, as
// kubeadm does on a fresh cluster: after firstLook, and after twice as long each time, up to lastLook.
const (
	firstLook = 200 * time.Millisecond
	lastLook  = 1000 * time.Second
)

// NewApprover approves client certificates that bootstrapping nodes and nodes themselves ask for, if RBAC lets the
// requestor create certificatesigningrequests/nodeclient or /selfnodeclient.
func NewApprover(requests certificatesinformers.CertificateSigningRequestInformer, client kubernetes.Interface) *reconcile.Controller {
	c := reconcile.New("certificate", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		r, err := requests.Lister().Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if len(r.Status.Certificate) > 0 || condition(r, certificatesv1.CertificateApproved) || condition(r, certificatesv1.CertificateDenied) {
			return reconcile.Result{}, nil
		}
		request, err := parse(r.Spec.Request)
		if err != nil {
			return reconcile.Result{}, nil // nobody can sign it either
		}
		if !nodeClient(r, request) {
			return reconcile.Result{}, nil
		}
		for _, permission := range []struct{ subresource, message string }{
			{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."},
			{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."},
		} {
			if permission.subresource == "selfnodeclient" && r.Spec.Username != request.Subject.CommonName {
				continue
			}
			allowed, err := mayCreate(ctx, client, r, permission.subresource)
			if err != nil {
				return reconcile.Result{}, err
			}
			if !allowed {
				continue
			}
			approved := r.DeepCopy()
			approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
				Type: certificatesv1.CertificateApproved, Status: v1.ConditionTrue, Reason: "AutoApproved", Message: permission.message, LastUpdateTime: metav1.Now(),
			})
			_, err = client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, r.Name, approved, metav1.UpdateOptions{})
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		return reconcile.Result{}, fmt.Errorf("%w: no SubjectAccessReview allows the approval", reconcile.ErrRoutine)
	}), reconcile.Options{Workers: 2, BaseDelay: firstLook, MaxDelay: lastLook})
	c.Watch(requests.Informer(), keyOf)
	return c
}

func parse(data []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	return r, r.CheckSignature()
}

// nodeClient tells a request for a node's client certificate: its names and usages are just those of a kubelet.
func nodeClient(r *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) bool {
	return r.Spec.SignerName == certificatesv1.KubeAPIServerClientKubeletSignerName && checkNodeClient(r.Spec.Usages, request) == nil
}

func checkNodeClient(usages []certificatesv1.KeyUsage, request *x509.CertificateRequest) error {
	if !slices.Equal(request.Subject.Organization, []string{"system:nodes"}) {
		return errors.New("subject organization is not system:nodes")
	}
	if !strings.HasPrefix(request.Subject.CommonName, "system:node:") {
		return errors.New("subject common name does not begin with \"system:node:\"")
	}
	if len(request.DNSNames)+len(request.EmailAddresses)+len(request.IPAddresses)+len(request.URIs) > 0 {
		return errors.New("subject alternative names are not allowed")
	}
	return checkUsages(usages, certificatesv1.UsageClientAuth)
}

// checkUsages wants digital signature and one purpose; key encipherment is allowed.
func checkUsages(usages []certificatesv1.KeyUsage, purpose certificatesv1.KeyUsage) error {
	for _, u := range usages {
		if u != certificatesv1.UsageDigitalSignature && u != certificatesv1.UsageKeyEncipherment && u != purpose {
			return fmt.Errorf("usage %q is not allowed", u)
		}
	}
	for _, need := range []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, purpose} {
		if !slices.Contains(usages, need) {
			return fmt.Errorf("usage %q is missing", need)
		}
	}
	return nil
}

func mayCreate(ctx context.Context, client kubernetes.Interface, r *certificatesv1.CertificateSigningRequest, subresource string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for k, v := range r.Spec.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	review, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: r.Spec.Username, UID: r.Spec.UID, Groups: r.Spec.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Verb: "create", Subresource: subresource},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}
