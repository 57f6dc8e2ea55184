package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
	"pilotis.dev/pkg/tokens"
)

// cleaning is how often unused tokens are looked for: their last use is known by the day.
const cleaning = 24 * time.Hour

// LegacyCleaner is what NewLegacyCleaner works with.
type LegacyCleaner struct {
	Informers informers.SharedInformerFactory
	// Reader lists Secrets; Client writes.
	Reader, Client kubernetes.Interface
	// Period without a use after which a token is marked invalid, and after which a marked one is deleted.
	Period time.Duration
}

// NewLegacyCleaner removes the token Secrets that older clusters made by themselves for every service account and that nobody
// uses: it marks them invalid first, and deletes them when nobody missed them (KEP-2799). Secrets that users made stay.
func NewLegacyCleaner(config LegacyCleaner) *reconcile.Controller {
	accounts, pods := config.Informers.Core().V1().ServiceAccounts(), config.Informers.Core().V1().Pods()
	c := reconcile.New("legacy_service_account_token_cleaner", reconcile.Func(func(ctx context.Context, _ reconcile.Key) (reconcile.Result, error) {
		return reconcile.Result{RequeueAfter: cleaning}, config.clean(ctx)
	}), reconcile.Options{})
	c.Watch(accounts.Informer(), nil)
	c.Watch(pods.Informer(), nil)
	c.Enqueue(reconcile.Key{Name: "all"})
	return c
}

func (c LegacyCleaner) clean(ctx context.Context) error {
	now := time.Now().UTC()
	tracked, err := c.tracked(ctx)
	if err != nil || !tracked.Before(now.Add(-c.Period)) {
		return err // no use was recorded for so long yet, so nothing is known of it
	}
	all, err := c.Reader.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(v1.SecretTypeServiceAccountToken)})
	if err != nil {
		return err
	}
	var errs []error
	for i := range all.Items {
		errs = append(errs, c.cleanOne(ctx, &all.Items[i], now))
	}
	return errors.Join(errs...)
}

func (c LegacyCleaner) cleanOne(ctx context.Context, s *v1.Secret, now time.Time) error {
	unused, err := c.unused(s)
	if err != nil || !unused {
		return err
	}
	logger := klog.FromContext(ctx)
	switch judge(s, now, c.Period) {
	case mark:
		logger.Info("Marking the auto-generated token as invalid, nobody uses it", "secret", klog.KObj(s))
		err = c.mark(ctx, s, now)
	case remove:
		logger.Info("Deleting the auto-generated token, nobody missed it", "secret", klog.KObj(s))
		err = c.Client.CoreV1().Secrets(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.UID, ResourceVersion: &s.ResourceVersion}})
	case keep:
	}
	return reconcile.IgnoreNotFound(err)
}

// tracked is since when every use of a token is recorded: the day after the API server began with it.
func (c LegacyCleaner) tracked(ctx context.Context) (time.Time, error) {
	m, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, tokens.TrackingConfigMap, metav1.GetOptions{})
	if err != nil {
		return time.Time{}, err
	}
	since, err := time.Parse(time.DateOnly, m.Data[tokens.TrackingSince])
	if err != nil {
		return time.Time{}, fmt.Errorf("ConfigMap %s/%s: data.%s: %w", m.Namespace, m.Name, tokens.TrackingSince, err)
	}
	return since.AddDate(0, 0, 1), nil
}

// unused tells whether the Secret was made by the cluster itself and no pod refers to it.
func (c LegacyCleaner) unused(s *v1.Secret) (bool, error) {
	account, err := c.Informers.Core().V1().ServiceAccounts().Lister().ServiceAccounts(s.Namespace).Get(s.Annotations[v1.ServiceAccountNameKey])
	if err != nil || string(account.UID) != s.Annotations[v1.ServiceAccountUIDKey] {
		return false, reconcile.IgnoreNotFound(err)
	}
	listed := false
	for _, r := range account.Secrets {
		listed = listed || r.Name == s.Name
	}
	if !listed {
		return false, nil
	}
	pods, err := c.Informers.Core().V1().Pods().Lister().Pods(s.Namespace).List(labels.Everything())
	if err != nil {
		return false, err
	}
	for _, p := range pods {
		if usesSecret(&p.Spec, s.Name) {
			return false, nil
		}
	}
	return true, nil
}

type verdict int

const (
	keep verdict = iota
	mark
	remove
)

// judge says what becomes of an auto-generated Secret that no pod refers to.
func judge(s *v1.Secret, now time.Time, period time.Duration) verdict {
	before := now.Add(-period)
	if s.DeletionTimestamp != nil || !s.CreationTimestamp.Time.Before(before) {
		return keep
	}
	if used, ok := s.Labels[tokens.LastUsedLabel]; ok {
		if day, err := time.Parse(time.DateOnly, used); err != nil || !day.Before(before.Truncate(24*time.Hour)) {
			return keep // used lately, or nobody can tell when
		}
	}
	switch day, err := time.Parse(time.DateOnly, s.Labels[tokens.InvalidSinceLabel]); {
	case err != nil:
		return mark
	case day.Before(before.Truncate(24 * time.Hour)):
		return remove
	}
	return keep
}

func (c LegacyCleaner) mark(ctx context.Context, s *v1.Secret, now time.Time) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": s.UID, "resourceVersion": s.ResourceVersion, "labels": map[string]string{tokens.InvalidSinceLabel: now.Format(time.DateOnly)},
	}})
	if err != nil {
		return err
	}
	_, err = c.Client.CoreV1().Secrets(s.Namespace).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// usesSecret tells whether a pod refers to a Secret: in a volume, in the environment, or to pull images.
func usesSecret(spec *v1.PodSpec, name string) bool {
	for _, r := range spec.ImagePullSecrets {
		if r.Name == name {
			return true
		}
	}
	for _, v := range spec.Volumes {
		if v.Secret != nil && v.Secret.SecretName == name || v.CSI != nil && v.CSI.NodePublishSecretRef != nil && v.CSI.NodePublishSecretRef.Name == name {
			return true
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.Secret != nil && source.Secret.Name == name {
					return true
				}
			}
		}
	}
	env := func(vars []v1.EnvVar, from []v1.EnvFromSource) bool {
		for _, e := range vars {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == name {
				return true
			}
		}
		for _, f := range from {
			if f.SecretRef != nil && f.SecretRef.Name == name {
				return true
			}
		}
		return false
	}
	for _, c := range append(append([]v1.Container{}, spec.InitContainers...), spec.Containers...) {
		if env(c.Env, c.EnvFrom) {
			return true
		}
	}
	for _, c := range spec.EphemeralContainers {
		if env(c.Env, c.EnvFrom) {
			return true
		}
	}
	return false
}
