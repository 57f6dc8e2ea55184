package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// requestTimeout bounds one request, so that a half-open connection is given up and tried again.
const requestTimeout = 10 * time.Second

// Client connects with a kubeconfig file.
func Client(path string) (kubernetes.Interface, error) {
	cfg, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return ClientFor(cfg)
}

// ClientFor connects with a kubeconfig.
func ClientFor(cfg *clientcmdapi.Config) (kubernetes.Interface, error) {
	config, err := clientcmd.NewDefaultClientConfig(*cfg, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return clientset(config)
}

func clientset(config *rest.Config) (kubernetes.Interface, error) {
	config.Timeout = requestTimeout
	config.QPS = -1 // a handful of calls, retried at a fixed pace: nothing to throttle
	config.UserAgent = "kubeadm"
	return kubernetes.NewForConfig(config)
}

// Retry calls once after another until it succeeds, fails for good, or the time is over; the error then is that of the last call
// that got an answer. What passes by itself is tried again: connection failures, timeouts, conflicts, throttling, 5xx, Forbidden,
// which a server answers while its RBAC rules are still being loaded, and a missing namespace, for a new server makes its own a
// moment after it is ready.
func Retry(ctx context.Context, timeout time.Duration, call func(ctx context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		err := call(ctx)
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err() // the end of the time is no news about the server
		}
		last = err
		if Passing(err) {
			return false, nil
		}
		return false, err
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// Passing reports whether an error of a request may go away by itself.
func Passing(err error) bool {
	return namespaceMissing(err) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
}

func namespaceMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}
