package app

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Narrow gives a list of fields "a=b,c=d" that an informer is limited to. A controller that needs one ConfigMap a namespace, or
// Secrets of one type, watches those alone: what users keep in the others never reaches this process.
func Narrow(fields string) func(*metav1.ListOptions) {
	return func(o *metav1.ListOptions) {
		Fresh(o)
		o.FieldSelector = fields
	}
}

// Fresh makes an informer's first list a consistent read. Informers whose server does not stream lists begin with the version "0",
// any that a watch cache has: after a restart that may be older than what the process before saw and wrote, and a controller
// would do again what is done, pods of a ReplicaSet for example.
func Fresh(o *metav1.ListOptions) {
	if o.ResourceVersion == "0" {
		o.ResourceVersion = ""
	}
}

// WithInformers is runner with informers of its own, which live as long as it does.
func WithInformers(runner Runner, informers ...cache.SharedIndexInformer) Runner {
	return RunnerFunc(func(ctx context.Context) {
		var group sync.WaitGroup
		for _, inf := range informers {
			_ = inf.SetTransform(stripManagedFields) // fails only for a started informer
			group.Go(func() { inf.RunWithContext(ctx) })
		}
		runner.Run(ctx)
		group.Wait()
	})
}

// Together runs several runners as one.
func Together(runners ...Runner) Runner {
	return RunnerFunc(func(ctx context.Context) {
		var group sync.WaitGroup
		for _, r := range runners {
			group.Go(func() { r.Run(ctx) })
		}
		group.Wait()
	})
}
