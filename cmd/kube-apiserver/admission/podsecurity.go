package admission

import (
	"context"
	"errors"
	"fmt"
	"io"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	podsecurityadmission "k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/admission/api/load"
	podsecurityapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"
)

// podSecurity enforces the Pod Security Standards as the labels of namespaces ask (KEP-2579). The judgement is the
// library's; this is its place in the chain.
type podSecurity struct {
	*admission.Handler
	judge      *podsecurityadmission.Admission
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
}

func newPodSecurity(config io.Reader) (admission.Interface, error) {
	configuration, err := load.LoadFromReader(config)
	if err != nil {
		return nil, err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("pod security checks: %w", err)
	}
	recorder := metrics.NewPrometheusRecorder(podsecurityapi.GetAPIVersion())
	recorder.MustRegister(func(all ...basemetrics.Registerable) {
		for _, m := range all {
			_ = legacyregistry.Register(m) // a second server of this process shares the first one's
		}
	})
	return &podSecurity{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		judge: &podsecurityadmission.Admission{
			Configuration:    configuration,
			Evaluator:        evaluator,
			Metrics:          recorder,
			PodSpecExtractor: podsecurityadmission.DefaultPodSpecExtractor{},
		},
	}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *podSecurity) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *podSecurity) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().Namespaces()
	p.namespaces = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *podSecurity) ValidateInitialization() error {
	if err := needs(p.client, "a client"); err != nil {
		return err
	}
	if err := needs(p.namespaces, "namespaces"); err != nil {
		return err
	}
	p.judge.NamespaceGetter = podsecurityadmission.NamespaceGetterFromListerAndClient(p.namespaces, p.client)
	// Pods are looked at only when a namespace's label changes; that is worth a request, not a cache of all pods.
	p.judge.PodLister = podsecurityadmission.PodListerFromClient(p.client)
	if err := p.judge.CompleteConfiguration(); err != nil {
		return err
	}
	return p.judge.ValidateConfiguration()
}

// Validate implements admission.ValidationInterface.
func (p *podSecurity) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	gr := a.GetResource().GroupResource()
	if gr != (schema.GroupResource{Resource: "namespaces"}) && !p.judge.PodSpecExtractor.HasPodSpec(gr) {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	result := p.judge.Validate(ctx, attributes{a})
	for _, w := range result.Warnings {
		warning.AddWarning(ctx, "", w)
	}
	for k, v := range result.AuditAnnotations {
		audit.AddAuditAnnotation(ctx, podsecurityapi.AuditAnnotationPrefix+k, v)
	}
	if result.Allowed {
		return nil
	}
	refusal := admission.NewForbidden(a, errors.New("not allowed by PodSecurity"))
	var status *apierrors.StatusError
	if !errors.As(refusal, &status) || result.Result == nil {
		return refusal
	}
	if result.Result.Message != "" {
		status.ErrStatus.Message = result.Result.Message
	}
	if result.Result.Reason != "" {
		status.ErrStatus.Reason = result.Result.Reason
	}
	if result.Result.Code != 0 {
		status.ErrStatus.Code = result.Result.Code
	}
	if result.Result.Details != nil {
		status.ErrStatus.Details = result.Result.Details
	}
	return status
}

// attributes shows a request to the library. Objects are v1 already.
type attributes struct{ admission.Attributes }

// GetOperation implements podsecurityapi.Attributes.
func (a attributes) GetOperation() admissionv1.Operation {
	return admissionv1.Operation(a.Attributes.GetOperation())
}

// GetObject implements podsecurityapi.Attributes.
func (a attributes) GetObject() (runtime.Object, error) { return a.Attributes.GetObject(), nil }

// GetOldObject implements podsecurityapi.Attributes.
func (a attributes) GetOldObject() (runtime.Object, error) { return a.Attributes.GetOldObject(), nil }

// GetUserName implements podsecurityapi.Attributes.
func (a attributes) GetUserName() string { return a.GetUserInfo().GetName() }
