package server

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

// untilDone repeats a step of the start with growing pauses until it succeeds; it fails only when ctx ends.
func untilDone(ctx context.Context, what string, step func(context.Context) error) error {
	backoff := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 9, Cap: 5 * time.Second}
	for {
		err := step(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := backoff.Step()
		klog.FromContext(ctx).V(2).Info("Start step is repeated", "step", what, "reason", err.Error(), "after", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// addHooks adds what the server does by itself once it serves: the objects that every cluster has.
func (c *config) addHooks(s *genericapiserver.GenericAPIServer, kubernetes *kubernetesService) error {
	hooks := []struct {
		name string
		run  genericapiserver.PostStartHookFunc
	}{
		{"start-system-namespaces-controller", keepNamespaces(c.client, c.informers.Core().V1().Namespaces())},
		{"bootstrap-controller", kubernetes.run},
		{"scheduling/bootstrap-system-priority-classes", createPriorityClasses(c.client)},
		{"start-cluster-authentication-info-controller", keepAuthenticationInfo(c.client, c.authn)},
		{"start-kubernetes-service-cidr-controller", keepDefaultServiceCIDR(c.client, c.addresses.Defaults())},
		{"start-service-ip-repair-controllers", c.repairServices},
		{"start-kube-apiserver-identity-lease-controller", keepIdentityLease(c.client, c.generic.APIServerID)},
		{"start-legacy-token-tracking-controller", markLegacyTokenTracking(c.client)},
	}
	if c.options.Features.EnablePriorityAndFairness {
		hooks = append(hooks, struct {
			name string
			run  genericapiserver.PostStartHookFunc
		}{"priority-and-fairness-config-producer", keepFlowControl(c.client, c.informers.Flowcontrol().V1())})
	}
	for _, h := range hooks {
		if err := s.AddPostStartHook(h.name, h.run); err != nil {
			return err
		}
	}
	return s.AddPreShutdownHook("stop-kubernetes-service-controller", kubernetes.stop)
}
