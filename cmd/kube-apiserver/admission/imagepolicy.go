package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"pilotis.dev/cmd/kube-apiserver/auth/noredirect"
)

// imagePolicy asks a webhook whether the images of a pod may run.
type imagePolicy struct {
	*admission.Handler
	webhook              *webhook.GenericWebhook
	answers              *cache.LRUExpireCache
	allowTTL, denyTTL    time.Duration
	allowWithoutAnAnswer bool
}

// Annotations by which the decision is recorded.
const (
	imagePolicyAnnotationMark = ".image-policy.k8s.io/"
	imagePolicyFailedOpen     = "alpha.image-policy.k8s.io/failed-open"
	imagePolicyAuditPrefix    = "imagepolicywebhook.image-policy.k8s.io/"
)

// imagePolicyConfig is the plugin's configuration. Times are in the units that the documentation gives: seconds for
// the caches, milliseconds for the back-off.
type imagePolicyConfig struct {
	KubeConfigFile string `json:"kubeConfigFile"`
	RetryBackoff   *int64 `json:"retryBackoff,omitempty"`
	AllowTTL       *int64 `json:"allowTTL,omitempty"`
	DenyTTL        *int64 `json:"denyTTL,omitempty"`
	DefaultAllow   bool   `json:"defaultAllow,omitempty"`
}

func newImagePolicy(config io.Reader) (admission.Interface, error) {
	if config == nil {
		return nil, errors.New("ImagePolicyWebhook needs a configuration with imagePolicy.kubeConfigFile in --admission-control-config-file")
	}
	data, err := io.ReadAll(config)
	if err != nil {
		return nil, err
	}
	var c struct {
		ImagePolicy imagePolicyConfig `json:"imagePolicy"`
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return nil, fmt.Errorf("ImagePolicyWebhook configuration: %w", err)
	}
	if c.ImagePolicy.KubeConfigFile == "" {
		return nil, errors.New("ImagePolicyWebhook configuration: imagePolicy.kubeConfigFile: Required value")
	}
	p := &imagePolicy{
		Handler:              admission.NewHandler(admission.Create, admission.Update),
		answers:              cache.NewLRUExpireCache(1024),
		allowWithoutAnAnswer: c.ImagePolicy.DefaultAllow,
	}
	if p.allowTTL, err = within(c.ImagePolicy.AllowTTL, time.Second, 5*time.Minute, time.Second, 30*time.Minute); err != nil {
		return nil, fmt.Errorf("ImagePolicyWebhook configuration: imagePolicy.allowTTL: %w", err)
	}
	if p.denyTTL, err = within(c.ImagePolicy.DenyTTL, time.Second, 30*time.Second, time.Second, 30*time.Minute); err != nil {
		return nil, fmt.Errorf("ImagePolicyWebhook configuration: imagePolicy.denyTTL: %w", err)
	}
	backoff, err := within(c.ImagePolicy.RetryBackoff, time.Millisecond, 500*time.Millisecond, time.Millisecond, 5*time.Minute)
	if err != nil {
		return nil, fmt.Errorf("ImagePolicyWebhook configuration: imagePolicy.retryBackoff: %w", err)
	}
	client, err := webhook.LoadKubeconfig(c.ImagePolicy.KubeConfigFile, nil)
	if err != nil {
		return nil, fmt.Errorf("ImagePolicyWebhook configuration: imagePolicy.kubeConfigFile: %w", err)
	}
	noredirect.Wrap(client)
	scheme := runtime.NewScheme()
	if err := imagepolicyv1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	versions := []schema.GroupVersion{imagepolicyv1alpha1.SchemeGroupVersion}
	p.webhook, err = webhook.NewGenericWebhook(scheme, serializer.NewCodecFactory(scheme), client, versions, webhook.DefaultRetryBackoffWithInitialDelay(backoff))
	return p, err
}

// within turns a number of units into a duration: absent is the default, -1 switches off.
func within(n *int64, unit, otherwise, least, most time.Duration) (time.Duration, error) {
	switch {
	case n == nil || *n == 0:
		return otherwise, nil
	case *n < 0:
		return 0, nil
	}
	d := time.Duration(*n) * unit
	if d < least || d > most {
		return 0, fmt.Errorf("%s is not between %s and %s", d, least, most)
	}
	return d, nil
}

// Validate implements admission.ValidationInterface.
func (p *imagePolicy) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	ephemeral := isSub(a, "", "pods", "ephemeralcontainers")
	if !ephemeral && !is(a, "", "pods") {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	review := &imagepolicyv1alpha1.ImageReview{Spec: imagepolicyv1alpha1.ImageReviewSpec{
		Namespace: a.GetNamespace(), Annotations: map[string]string{},
	}}
	eachContainer(&pod.Spec, func(path string, _ int, c *corev1.Container) {
		if ephemeral == (path == "ephemeralContainers") {
			review.Spec.Containers = append(review.Spec.Containers, imagepolicyv1alpha1.ImageReviewContainerSpec{Image: c.Image})
		}
	})
	if len(review.Spec.Containers) == 0 {
		return nil
	}
	for k, v := range pod.Annotations {
		if strings.Contains(k, imagePolicyAnnotationMark) {
			review.Spec.Annotations[k] = v
		}
	}
	return p.ask(ctx, a, review)
}

func (p *imagePolicy) ask(ctx context.Context, a admission.Attributes, review *imagepolicyv1alpha1.ImageReview) error {
	key, err := json.Marshal(review.Spec)
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	if known, ok := p.answers.Get(string(key)); ok {
		review.Status = known.(imagepolicyv1alpha1.ImageReviewStatus)
	} else {
		result := p.webhook.WithExponentialBackoff(ctx, func() rest.Result {
			return p.webhook.RestClient.Post().Body(review).Do(ctx)
		})
		if err := result.Error(); err != nil {
			return p.unanswered(a, err)
		}
		if err := result.Into(review); err != nil {
			return p.unanswered(a, err)
		}
		ttl := p.denyTTL
		if review.Status.Allowed {
			ttl = p.allowTTL
		}
		p.answers.Add(string(key), review.Status, ttl)
	}
	for k, v := range review.Status.AuditAnnotations {
		if err := a.AddAnnotation(imagePolicyAuditPrefix+k, v); err != nil {
			return p.unanswered(a, err)
		}
	}
	if review.Status.Allowed {
		return nil
	}
	if review.Status.Reason != "" {
		return admission.NewForbidden(a, fmt.Errorf("image policy webhook backend denied one or more images: %s", review.Status.Reason))
	}
	return admission.NewForbidden(a, errors.New("one or more images rejected by webhook backend"))
}

// unanswered lets the pod in or not, as the configuration says.
func (p *imagePolicy) unanswered(a admission.Attributes, err error) error {
	if !p.allowWithoutAnAnswer {
		return admission.NewForbidden(a, err)
	}
	if err := a.AddAnnotation(imagePolicyFailedOpen, "true"); err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}
