package table

import (
	"context"

	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/client-go/tools/cache"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"

	"pilotis.dev/cmd/kube-controller-manager/app"

	"pilotis.dev/cmd/kube-controller-manager/controllers/cronjob"
	"pilotis.dev/cmd/kube-controller-manager/controllers/daemonset"
	"pilotis.dev/cmd/kube-controller-manager/controllers/deployment"
	"pilotis.dev/cmd/kube-controller-manager/controllers/disruption"
	"pilotis.dev/cmd/kube-controller-manager/controllers/horizontalpodautoscaler"
	"pilotis.dev/cmd/kube-controller-manager/controllers/job"
	"pilotis.dev/cmd/kube-controller-manager/controllers/protection"
	"pilotis.dev/cmd/kube-controller-manager/controllers/replicas"
	"pilotis.dev/cmd/kube-controller-manager/controllers/replicaset"
	"pilotis.dev/cmd/kube-controller-manager/controllers/replicationcontroller"
	"pilotis.dev/cmd/kube-controller-manager/controllers/scaletarget"
	"pilotis.dev/cmd/kube-controller-manager/controllers/statefulset"
	"pilotis.dev/cmd/kube-controller-manager/controllers/ttlafterfinished"
)

// events is the permission that every controller with an event recorder needs. That to update the finalizers of an owner is for
// OwnerReferencesPermissionEnforcement: a dependent blocks the deletion of its owner.
const events = "create,patch,update events"

// workloads are the controllers of running things: sets of pods, jobs and what scales or protects them.
func workloads() []Row {
	return []Row{
		{
			Name: "deployment-controller", Aliases: []string{"deployment"},
			Purpose: "rolls templates out and back over ReplicaSets",
			Reads:   []string{"deployments.apps", "replicasets.apps", "pods"},
			Writes:  []string{"update deployments.apps/status", "update deployments.apps/finalizers", "create,update,patch,delete replicasets.apps", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				apps := env.Informers.Apps().V1()
				return deployment.New(apps.Deployments(), apps.ReplicaSets(), env.Informers.Core().V1().Pods(), env.Client, env.Recorder("deployment-controller"),
					deployment.Options{Workers: int(env.Config.DeploymentController.ConcurrentDeploymentSyncs)})
			},
		},
		{
			Name: "replicaset-controller", Aliases: []string{"replicaset"},
			Purpose: "keeps the number of pods that a ReplicaSet asks for",
			Reads:   []string{"replicasets.apps", "pods"},
			Writes:  []string{"update replicasets.apps/status", "update replicasets.apps/finalizers", "create,patch,delete pods", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return replicaset.New(env.Informers.Apps().V1().ReplicaSets(), env.Informers.Core().V1().Pods(), env.Client, env.Recorder("replicaset-controller"),
					replicas.Options{Workers: int(env.Config.ReplicaSetController.ConcurrentRSSyncs)})
			},
		},
		{
			Name: "replicationcontroller-controller", Aliases: []string{"replicationcontroller"}, ServiceAccount: "replication-controller",
			Purpose: "keeps the number of pods that a ReplicationController asks for",
			Reads:   []string{"replicationcontrollers", "pods"},
			Writes:  []string{"update replicationcontrollers/status", "update replicationcontrollers/finalizers", "create,patch,delete pods", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				core := env.Informers.Core().V1()
				return replicationcontroller.New(core.ReplicationControllers(), core.Pods(), env.Client, env.Recorder("replication-controller"),
					replicas.Options{Workers: int(env.Config.ReplicationController.ConcurrentRCSyncs)})
			},
		},
		{
			Name: "statefulset-controller", Aliases: []string{"statefulset"},
			Purpose: "keeps pods with stable names and volumes, one after the other",
			Reads:   []string{"statefulsets.apps", "pods", "persistentvolumeclaims", "controllerrevisions.apps"},
			Writes: []string{
				"update statefulsets.apps/status", "update statefulsets.apps/finalizers", "update pods/finalizers", "create,update,patch,delete pods",
				"create,update persistentvolumeclaims", "create,update,patch,delete controllerrevisions.apps", events,
			},
			New: func(_ context.Context, env *Env) (Runner, error) {
				apps, core := env.Informers.Apps().V1(), env.Informers.Core().V1()
				return statefulset.New(apps.StatefulSets(), core.Pods(), core.PersistentVolumeClaims(), apps.ControllerRevisions(), env.Client, env.Recorder("statefulset-controller"),
					statefulset.Options{Workers: int(env.Config.StatefulSetController.ConcurrentStatefulSetSyncs)})
			},
		},
		{
			Name: "daemonset-controller", Aliases: []string{"daemonset"}, ServiceAccount: "daemon-set-controller",
			Purpose: "keeps a pod on each node that matches",
			Reads:   []string{"daemonsets.apps", "pods", "nodes", "controllerrevisions.apps"},
			Writes:  []string{"update daemonsets.apps/status", "update daemonsets.apps/finalizers", "create,patch,delete pods", "create,update,patch,delete controllerrevisions.apps", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				apps, core := env.Informers.Apps().V1(), env.Informers.Core().V1()
				return daemonset.New(apps.DaemonSets(), core.Pods(), core.Nodes(), apps.ControllerRevisions(), env.Client, env.Recorder("daemonset-controller"),
					daemonset.Options{Workers: int(env.Config.DaemonSetController.ConcurrentDaemonSetSyncs)})
			},
		},
		{
			Name: "job-controller", Aliases: []string{"job"},
			Purpose: "runs pods to completion",
			Reads:   []string{"jobs.batch", "pods"},
			Writes:  []string{"update jobs.batch/status", "update jobs.batch/finalizers", "create,patch,delete pods", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return job.New(env.Informers.Batch().V1().Jobs(), env.Informers.Core().V1().Pods(), env.Client, env.Recorder("job-controller"),
					job.Options{Workers: int(env.Config.JobController.ConcurrentJobSyncs)})
			},
		},
		{
			Name: "cronjob-controller", Aliases: []string{"cronjob"},
			Purpose: "starts Jobs by the clock",
			Reads:   []string{"cronjobs.batch", "jobs.batch"},
			Writes:  []string{"update cronjobs.batch/status", "update cronjobs.batch/finalizers", "create,delete jobs.batch", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				batch := env.Informers.Batch().V1()
				return cronjob.New(batch.CronJobs(), batch.Jobs(), env.Client, env.Recorder("cronjob-controller"),
					cronjob.Options{Workers: int(env.Config.CronJobController.ConcurrentCronJobSyncs)})
			},
		},
		{
			Name: "ttl-after-finished-controller", Aliases: []string{"ttl-after-finished"},
			Purpose: "deletes finished Jobs after their time",
			Reads:   []string{"jobs.batch"},
			Writes:  []string{"delete jobs.batch"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return ttlafterfinished.New(env.Informers.Batch().V1().Jobs(), env.Client,
					ttlafterfinished.Options{Workers: int(env.Config.TTLAfterFinishedController.ConcurrentTTLSyncs)}), nil
			},
		},
		{
			Name: "disruption-controller", Aliases: []string{"disruption"},
			Purpose: "says how many pods of a budget may be evicted now",
			Reads: []string{
				"poddisruptionbudgets.policy", "pods", "deployments.apps", "replicasets.apps", "statefulsets.apps", "replicationcontrollers",
			},
			Writes: []string{"update poddisruptionbudgets.policy/status", "update,patch pods/status", "get *.*/scale", events},
			New:    newDisruption,
		},
		{
			Name: "horizontal-pod-autoscaler-controller", Aliases: []string{"horizontalpodautoscaling"}, ServiceAccount: "horizontal-pod-autoscaler",
			Purpose: "sizes workloads by metrics",
			Reads:   []string{"horizontalpodautoscalers.autoscaling", "pods"},
			Writes: []string{
				"update horizontalpodautoscalers.autoscaling/status", "get,update *.*/scale", "list pods.metrics.k8s.io",
				"get,list *.custom.metrics.k8s.io", "get,list *.external.metrics.k8s.io", events,
			},
			New: newAutoscaler,
		},
		{
			Name:    "podgroup-protection-controller",
			Purpose: "keeps groups whose pods have not ended from going",
			Reads:   []string{"podgroups.scheduling.k8s.io", "pods"},
			Writes:  []string{"update podgroups.scheduling.k8s.io"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				served, err := env.Serves(schedulingv1beta1.SchemeGroupVersion.WithResource("podgroups"))
				if !served || err != nil {
					return nil, err
				}
				return protection.NewPodGroups(env.Informers, env.Client, protection.Options{})
			},
		},
	}
}

func newDisruption(_ context.Context, env *Env) (Runner, error) {
	apps, core := env.Informers.Apps().V1(), env.Informers.Core().V1()
	targets, err := scaletarget.New(env.REST, env.Discovery, env.Mapper)
	if err != nil {
		return nil, err
	}
	owners := disruption.Owners{
		ReplicaSets: apps.ReplicaSets().Lister(), Deployments: apps.Deployments().Lister(), StatefulSets: apps.StatefulSets().Lister(),
		Controllers: core.ReplicationControllers().Lister(), Scales: targets,
		Informers: []cache.SharedIndexInformer{
			apps.ReplicaSets().Informer(), apps.Deployments().Informer(), apps.StatefulSets().Informer(), core.ReplicationControllers().Informer(),
		},
	}
	return disruption.New(env.Informers.Policy().V1().PodDisruptionBudgets(), core.Pods(), owners, env.Client, env.Recorder("controllermanager"),
		disruption.Options{Workers: int(env.Config.DisruptionController.ConcurrentDisruptionSyncs)}), nil
}

func newAutoscaler(_ context.Context, env *Env) (Runner, error) {
	config := env.Config.HPAController
	targets, err := scaletarget.New(env.REST, env.Discovery, env.Mapper)
	if err != nil {
		return nil, err
	}
	resources, err := resourceclient.NewForConfig(env.REST)
	if err != nil {
		return nil, err
	}
	external, err := externalclient.NewForConfig(env.REST)
	if err != nil {
		return nil, err
	}
	versions := customclient.NewAvailableAPIsGetter(env.Discovery)
	source := horizontalpodautoscaler.NewSource(resources, customclient.NewForConfig(env.REST, env.Mapper, versions), external)
	loop, err := horizontalpodautoscaler.New(env.Informers.Autoscaling().V2().HorizontalPodAutoscalers(), env.Informers.Core().V1().Pods(), targets, source,
		env.Client, env.Recorder("horizontal-pod-autoscaler"), horizontalpodautoscaler.Options{
			Workers:                 int(config.ConcurrentHorizontalPodAutoscalerSyncs),
			SyncPeriod:              config.HorizontalPodAutoscalerSyncPeriod.Duration,
			DownscaleStabilization:  config.HorizontalPodAutoscalerDownscaleStabilizationWindow.Duration,
			Tolerance:               config.HorizontalPodAutoscalerTolerance,
			CPUInitializationPeriod: config.HorizontalPodAutoscalerCPUInitializationPeriod.Duration,
			InitialReadinessDelay:   config.HorizontalPodAutoscalerInitialReadinessDelay.Duration,
		})
	if err != nil {
		return nil, err
	}
	return app.RunnerFunc(func(ctx context.Context) {
		// Which version of the custom metrics API is served is asked anew from time to time.
		go customclient.PeriodicallyInvalidate(versions, config.HorizontalPodAutoscalerSyncPeriod.Duration, ctx.Done())
		loop.Run(ctx)
	}), nil
}
