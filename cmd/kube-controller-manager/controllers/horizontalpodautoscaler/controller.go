package horizontalpodautoscaler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	autoscalinginformers "k8s.io/client-go/informers/autoscaling/v2"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	autoscalinglisters "k8s.io/client-go/listers/autoscaling/v2"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/scaletarget"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller, named after the flags --horizontal-pod-autoscaler-*.
type Options struct {
	Workers                 int
	Clock                   clock.WithTicker
	SyncPeriod              time.Duration
	DownscaleStabilization  time.Duration
	Tolerance               float64
	CPUInitializationPeriod time.Duration
	InitialReadinessDelay   time.Duration
}

type controller struct {
	Options
	client   kubernetes.Interface
	recorder record.EventRecorder
	loop     *reconcile.Controller
	hpas     autoscalinglisters.HorizontalPodAutoscalerLister
	hpaInf   cache.SharedIndexInformer
	pods     corelisters.PodLister
	targets  *scaletarget.Targets
	source   Source

	mu       sync.Mutex
	memories map[types.UID]*memory
}

// New makes the controller.
func New(hpas autoscalinginformers.HorizontalPodAutoscalerInformer, podInformer coreinformers.PodInformer, targets *scaletarget.Targets, source Source,
	client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &controller{
		Options: o, client: client, recorder: recorder, hpas: hpas.Lister(), hpaInf: hpas.Informer(), pods: podInformer.Lister(),
		targets: targets, source: source, memories: map[types.UID]*memory{},
	}
	// Failures wait for the next period too: metrics do not come sooner by asking more often.
	c.loop = reconcile.New("horizontalpodautoscaler", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock, BaseDelay: o.SyncPeriod, MaxDelay: o.SyncPeriod})
	c.loop.Watch(c.hpaInf, nil)
	c.loop.Watch(podInformer.Informer(), nil)
	return c.loop, c.follow()
}

// follow looks at autoscalers that are new or changed, and forgets those that are gone.
func (c *controller) follow() error {
	_, err := c.hpaInf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.enqueue(obj) },
		UpdateFunc: func(old, obj any) {
			before, ok1 := old.(*autoscalingv2.HorizontalPodAutoscaler)
			after, ok2 := obj.(*autoscalingv2.HorizontalPodAutoscaler)
			// Status writes are our own; what they say was just computed.
			if ok1 && ok2 && !equality.Semantic.DeepEqual(before.Spec, after.Spec) {
				c.enqueue(obj)
			}
			if ok1 && ok2 && before.UID != after.UID {
				c.forget(before.UID)
			}
		},
		DeleteFunc: func(obj any) {
			if hpa, ok := reconcile.Unwrap(obj).(*autoscalingv2.HorizontalPodAutoscaler); ok {
				c.forget(hpa.UID)
			}
		},
	})
	return err
}

func (c *controller) enqueue(obj any) {
	for _, key := range reconcile.ObjectKey(obj) {
		c.loop.Enqueue(key)
	}
}

// memoryOf returns what is remembered of an autoscaler. Of one that was deleted a moment ago nothing is kept: nobody would tell
// again that it is gone.
func (c *controller) memoryOf(hpa *autoscalingv2.HorizontalPodAutoscaler) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.memories[hpa.UID]; m != nil {
		return m
	}
	m := &memory{hpa: types.NamespacedName{Namespace: hpa.Namespace, Name: hpa.Name}}
	if now, err := c.hpas.HorizontalPodAutoscalers(hpa.Namespace).Get(hpa.Name); err == nil && now.UID == hpa.UID {
		c.memories[hpa.UID] = m
	}
	return m
}

func (c *controller) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.memories, uid)
}

// rivals notes which pods an autoscaler sizes, and gives the others that size one of these pods: together they would
// pull a target to and fro.
func (c *controller) rivals(uid types.UID, selector labels.Selector, list []*v1.Pod) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.memories[uid]
	if own == nil {
		return nil // it was deleted a moment ago
	}
	own.selector = selector
	var found []types.NamespacedName
	for other, m := range c.memories {
		if other != uid && m.hpa.Namespace == own.hpa.Namespace && m.selector != nil &&
			slices.ContainsFunc(list, func(p *v1.Pod) bool { return m.selector.Matches(labels.Set(p.Labels)) }) {
			found = append(found, m.hpa)
		}
	}
	slices.SortFunc(found, func(a, b types.NamespacedName) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// look is one look of an autoscaler at its target.
type look struct {
	*controller
	hpa    *autoscalingv2.HorizontalPodAutoscaler
	status autoscalingv2.HorizontalPodAutoscalerStatus
	now    time.Time
	scale  *autoscalingv1.Scale
	tol    tolerance
}

// Reconcile looks at the metrics of one autoscaler, sizes its target and writes its status.
func (c *controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	hpa, err := c.hpas.HorizontalPodAutoscalers(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if hpa.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	l := &look{controller: c, hpa: hpa, now: c.Clock.Now()}
	hpa.Status.DeepCopyInto(&l.status)
	l.status.ObservedGeneration = &hpa.Generation
	failure := l.run(ctx)
	if err := c.writeStatus(ctx, hpa, l.status); err != nil {
		return reconcile.Result{}, err
	}
	if failure != nil {
		klog.FromContext(ctx).V(2).Info("Autoscaler could not compute a size", "hpa", klog.KObj(hpa), "reason", failure.Error())
	}
	return reconcile.Result{RequeueAfter: c.SyncPeriod}, nil
}

func (l *look) set(t autoscalingv2.HorizontalPodAutoscalerConditionType, status v1.ConditionStatus, reason, message string) {
	fresh := autoscalingv2.HorizontalPodAutoscalerCondition{Type: t, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(l.now),
		ObservedGeneration: &l.hpa.Generation}
	for i, c := range l.status.Conditions {
		if c.Type == t {
			if c.Status == status {
				fresh.LastTransitionTime = c.LastTransitionTime
			}
			l.status.Conditions[i] = fresh
			return
		}
	}
	l.status.Conditions = append(l.status.Conditions, fresh)
}

func (l *look) run(ctx context.Context) error {
	ref := l.hpa.Spec.ScaleTargetRef
	scale, resource, err := l.targets.Get(ctx, l.hpa.Namespace, ref.APIVersion, ref.Kind, ref.Name)
	if err != nil {
		l.recorder.Event(l.hpa, v1.EventTypeWarning, "FailedGetScale", err.Error())
		l.set(autoscalingv2.AbleToScale, v1.ConditionFalse, "FailedGetScale", fmt.Sprintf("the HPA controller was unable to get the target's current scale: %v", err))
		return err
	}
	l.scale = scale
	l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	current, least := scale.Spec.Replicas, ptr.Deref(l.hpa.Spec.MinReplicas, 1)
	m := l.memoryOf(l.hpa)
	up, down, tol := rules(l.hpa, l.DownscaleStabilization, l.Tolerance)
	l.tol = tol
	m.forget(l.now.Add(-max(window(up), window(down), time.Hour)))
	if len(m.recommendations) == 0 {
		m.recommendations = append(m.recommendations, moment{l.now, current})
	}
	var desired int32
	var reason string
	switch {
	case current == 0 && least != 0:
		l.set(autoscalingv2.ScalingActive, v1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		l.status.CurrentReplicas, l.status.DesiredReplicas = 0, 0
		return nil
	case current > l.hpa.Spec.MaxReplicas:
		desired, reason = l.hpa.Spec.MaxReplicas, "Current number of replicas above Spec.MaxReplicas"
	case current < least:
		desired, reason = least, "Current number of replicas below Spec.MinReplicas"
	default:
		recommended, metric, err := l.recommend(ctx)
		if err != nil {
			l.status.CurrentReplicas = current
			l.recorder.Event(l.hpa, v1.EventTypeWarning, "FailedComputeMetricsReplicas", err.Error())
			return err
		}
		desired = (&limiter{hpa: l.hpa, up: up, down: down, memory: m, now: l.now, set: l.set}).apply(current, recommended)
		if reason = "All metrics below target"; recommended > current {
			reason = metric + " above target"
		}
	}
	l.status.CurrentReplicas, l.status.DesiredReplicas = scale.Status.Replicas, desired
	if desired == current {
		return nil
	}
	return l.resize(ctx, m, resource, desired, reason)
}

func (l *look) resize(ctx context.Context, m *memory, resource schema.GroupResource, desired int32, reason string) error {
	current := l.scale.Spec.Replicas
	fresh := l.scale.DeepCopy()
	fresh.Spec.Replicas = desired
	if _, err := l.targets.Scales.Scales(l.hpa.Namespace).Update(ctx, resource, fresh, metav1.UpdateOptions{}); err != nil {
		l.recorder.Eventf(l.hpa, v1.EventTypeWarning, "FailedRescale", "New size: %d; reason: %s; error: %v", desired, reason, err)
		l.set(autoscalingv2.AbleToScale, v1.ConditionFalse, "FailedUpdateScale", fmt.Sprintf("the HPA controller was unable to update the target scale: %v", err))
		l.status.DesiredReplicas = current
		return err
	}
	l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "SucceededRescale", fmt.Sprintf("the HPA controller was able to update the target scale to %d", desired))
	l.recorder.Eventf(l.hpa, v1.EventTypeNormal, "SuccessfulRescale", "New size: %d; reason: %s", desired, reason)
	if desired > current {
		m.ups = append(m.ups, moment{l.now, desired - current})
	} else {
		m.downs = append(m.downs, moment{l.now, current - desired})
	}
	l.status.LastScaleTime = ptr.To(metav1.NewTime(l.now))
	return nil
}

// recommend returns the largest size that a metric asks for, and which metric that is. When metrics fail, the others may only
// raise the size: the missing ones might have wanted more.
func (l *look) recommend(ctx context.Context) (int32, string, error) {
	if l.scale.Status.Selector == "" {
		const message = "selector is required"
		l.recorder.Event(l.hpa, v1.EventTypeWarning, "SelectorRequired", message)
		l.set(autoscalingv2.ScalingActive, v1.ConditionFalse, "InvalidSelector", "the HPA target's scale is missing a selector")
		return 0, "", errors.New(message)
	}
	selector, err := labels.Parse(l.scale.Status.Selector)
	if err != nil {
		l.set(autoscalingv2.ScalingActive, v1.ConditionFalse, "InvalidSelector", fmt.Sprintf("couldn't convert selector into a corresponding internal selector object: %v", err))
		return 0, "", err
	}
	list, err := l.pods.Pods(l.hpa.Namespace).List(selector)
	if err != nil {
		return 0, "", err
	}
	if rivals := l.rivals(l.hpa.UID, selector, list); len(rivals) > 0 {
		message := fmt.Sprintf("pods by selector %v are controlled by multiple HPAs: %v too; delete all but one of them, or let their targets select different pods", selector, rivals)
		l.recorder.Event(l.hpa, v1.EventTypeWarning, "AmbiguousSelector", message)
		l.set(autoscalingv2.ScalingActive, v1.ConditionFalse, "AmbiguousSelector", message)
		return 0, "", errors.New(message)
	}
	specs := l.hpa.Spec.Metrics
	if len(specs) == 0 { // the API defaults to 80 % of CPU
		specs = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
			Name: v1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](80)},
		}}}
	}
	var best int32
	var metric string
	var firstErr error
	var firstReason, firstSource string
	statuses := make([]autoscalingv2.MetricStatus, 0, len(specs))
	failures := 0
	for _, spec := range specs {
		m, err := l.measure(ctx, spec, list, selector)
		if err != nil {
			if failures++; firstErr == nil {
				firstErr, firstReason, firstSource = err, m.failReason, source(spec)
			}
			l.recorder.Event(l.hpa, v1.EventTypeWarning, m.failReason, err.Error())
			continue
		}
		statuses = append(statuses, m.status)
		if metric == "" || m.replicas > best {
			best, metric = m.replicas, m.name
		}
	}
	l.status.CurrentMetrics = statuses
	if failures == len(specs) || failures > 0 && best < l.scale.Spec.Replicas {
		l.set(autoscalingv2.ScalingActive, v1.ConditionFalse, firstReason, fmt.Sprintf("the HPA was unable to compute the replica count: %v", firstErr))
		return 0, "", fmt.Errorf("invalid metrics (%d invalid out of %d), first error is: failed to get %s metric value: %w", failures, len(specs), firstSource, firstErr)
	}
	l.set(autoscalingv2.ScalingActive, v1.ConditionTrue, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from "+metric)
	return best, metric, nil
}

func (c *controller) writeStatus(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, status autoscalingv2.HorizontalPodAutoscalerStatus) error {
	if equality.Semantic.DeepEqual(status, hpa.Status) {
		return nil
	}
	fresh := hpa.DeepCopy()
	fresh.Status = status
	written, err := c.client.AutoscalingV2().HorizontalPodAutoscalers(hpa.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.loop.Wrote(c.hpaInf, reconcile.KeyOf(hpa), written)
	return nil
}
