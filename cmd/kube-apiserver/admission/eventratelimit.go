package admission

import (
	"context"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
)

// eventRateLimit keeps a component gone wild from filling storage with events. It limits all events together, those
// of a namespace, of a user, or of one source about one object.
type eventRateLimit struct {
	*admission.Handler
	limits []eventLimit
}

// eventLimit is one limit with a bucket for each value of its kind.
type eventLimit struct {
	config  eventLimitConfig
	buckets *lru.Cache
	clock   clock.PassiveClock
}

// eventRateLimitConfig is eventratelimit.admission.k8s.io/v1alpha1 Configuration.
type eventRateLimitConfig struct {
	metav1.TypeMeta `json:",inline"`
	Limits          []eventLimitConfig `json:"limits"`
}

type eventLimitConfig struct {
	Type      string `json:"type"`
	QPS       int32  `json:"qps"`
	Burst     int32  `json:"burst"`
	CacheSize int32  `json:"cacheSize,omitempty"`
}

// eventCacheSize is how many namespaces, users or sources are told apart when the configuration does not say.
const eventCacheSize = 4096

func newEventRateLimit(config io.Reader) (admission.Interface, error) {
	c := eventRateLimitConfig{}
	if config == nil {
		return nil, fmt.Errorf("EventRateLimit needs a configuration with limits in --admission-control-config-file")
	}
	if err := readConfig(config, "eventratelimit.admission.k8s.io/v1alpha1", &c, &c.TypeMeta); err != nil {
		return nil, fmt.Errorf("EventRateLimit configuration: %w", err)
	}
	return newEventLimits(c, clock.RealClock{})
}

func newEventLimits(c eventRateLimitConfig, clk clock.PassiveClock) (admission.Interface, error) {
	if len(c.Limits) == 0 {
		return nil, fmt.Errorf("EventRateLimit configuration: limits: Required value: at least one limit")
	}
	p := &eventRateLimit{Handler: admission.NewHandler(admission.Create, admission.Update)}
	for i, l := range c.Limits {
		switch l.Type {
		case "Server", "Namespace", "User", "SourceAndObject":
		default:
			return nil, fmt.Errorf("EventRateLimit configuration: limits[%d].type: Unsupported value: %q: supported values: \"Namespace\", \"Server\", \"SourceAndObject\", \"User\"", i, l.Type)
		}
		if l.QPS <= 0 || l.Burst <= 0 || l.CacheSize < 0 {
			return nil, fmt.Errorf("EventRateLimit configuration: limits[%d]: qps and burst must be positive and cacheSize not negative", i)
		}
		if l.CacheSize == 0 {
			l.CacheSize = eventCacheSize
		}
		p.limits = append(p.limits, eventLimit{config: l, buckets: lru.New(int(l.CacheSize)), clock: clk})
	}
	return p, nil
}

// Validate implements admission.ValidationInterface. All limits are counted, whichever refuses.
func (p *eventRateLimit) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "events") && !is(a, "events.k8s.io", "events") || a.IsDryRun() {
		return nil
	}
	var refused []string
	for i := range p.limits {
		if !p.limits[i].take(a) {
			refused = append(refused, fmt.Sprintf("limit reached on type %v for key %v", p.limits[i].config.Type, p.limits[i].key(a)))
		}
	}
	if len(refused) > 0 {
		return apierrors.NewTooManyRequestsError(strings.Join(refused, "; "))
	}
	return nil
}

func (l *eventLimit) take(a admission.Attributes) bool {
	key := l.key(a)
	bucket, ok := l.buckets.Get(key)
	if !ok {
		bucket = flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(float32(l.config.QPS), int(l.config.Burst), l.clock)
		l.buckets.Add(key, bucket)
	}
	return bucket.(flowcontrol.PassiveRateLimiter).TryAccept()
}

// key is what the limit tells apart.
func (l *eventLimit) key(a admission.Attributes) string {
	switch l.config.Type {
	case "Namespace":
		return a.GetNamespace()
	case "User":
		return a.GetUserInfo().GetName()
	case "SourceAndObject":
		switch e := a.GetObject().(type) {
		case *corev1.Event:
			o := e.InvolvedObject
			return strings.Join([]string{e.Source.Component, e.Source.Host, e.ReportingController, o.Kind, o.Namespace, o.Name, string(o.UID), o.APIVersion}, "")
		case *eventsv1.Event:
			o := e.Regarding
			return strings.Join([]string{e.ReportingController, e.ReportingInstance, o.Kind, o.Namespace, o.Name, string(o.UID), o.APIVersion}, "")
		}
	}
	return ""
}
