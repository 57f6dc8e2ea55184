package server

import (
	"context"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/tokens"
)

const (
	identityLabel       = "apiserver.kubernetes.io/identity"
	identityOfAPIServer = "kube-apiserver"
	identityDuration    = time.Hour
	// identityRenewal leaves five chances before the lease is taken for that of a dead server.
	identityRenewal = 10 * time.Minute
)

// keepIdentityLease tells in kube-system that this API server lives (KEP-1965).
func keepIdentityLease(client kubernetes.Interface, id string) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		holder, err := os.Hostname()
		if err != nil {
			return err
		}
		holder = id + "_" + holder
		label := func(l *coordinationv1.Lease) error {
			if l.Labels == nil {
				l.Labels = map[string]string{}
			}
			l.Labels[identityLabel] = identityOfAPIServer
			host, err := os.Hostname()
			l.Labels[corev1.LabelHostname] = host
			return err
		}
		c := lease.NewController(clock.RealClock{}, client, holder, int32(identityDuration/time.Second), nil, identityRenewal,
			id, metav1.NamespaceSystem, label)
		go func() {
			// The lease lives in kube-system, which is created at the same time.
			if untilDone(hook, "identity lease", func(ctx context.Context) error {
				_, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
				return err
			}) == nil {
				c.Run(hook)
			}
		}()
		return nil
	}
}

// markLegacyTokenTracking writes down since when the use of secret-based tokens is recorded (KEP-2799): the cleaner
// of unused ones must not judge by the time before.
func markLegacyTokenTracking(client kubernetes.Interface) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		go func() {
			_ = untilDone(hook, "configmap "+tokens.TrackingConfigMap, func(ctx context.Context) error {
				_, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Create(ctx, &corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: tokens.TrackingConfigMap},
					Data:       map[string]string{tokens.TrackingSince: time.Now().UTC().Format(time.DateOnly)},
				}, metav1.CreateOptions{})
				return ignore(err, apierrors.IsAlreadyExists)
			})
		}()
		return nil
	}
}
