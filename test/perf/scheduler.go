package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// measureScheduler binds pods to 1,000 Node objects behind which nothing runs.
func measureScheduler(ctx context.Context, root string, r *report) (err error) {
	for _, load := range []struct {
		name, rate, cpu string
		change          func(*v1.Pod)
	}{
		{"basic", "≥ 3 × 307", "≤ 0.3 × 2.6 ms", func(*v1.Pod) {}},
		{"topology spread over zones", "≥ 4 × 157", "≤ 0.3 × 6.4 ms", func(p *v1.Pod) {
			p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{MaxSkew: 5, TopologyKey: v1.LabelTopologyZone, WhenUnsatisfiable: v1.DoNotSchedule,
				LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}}
		}},
		{"preferred anti-affinity by host", "≥ 6 × 83", "≤ 0.3 × 11.4 ms", func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{Weight: 1,
				PodAffinityTerm: v1.PodAffinityTerm{TopologyKey: v1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}}}}}
		}},
	} {
		if err := measureLoad(ctx, root, r, load.name, load.rate, load.cpu, load.change); err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
	}
	return nil
}

const (
	fakeNodes = 1000
	boundPods = 2000
)

// measureLoad schedules pods of one kind in a control plane of its own.
func measureLoad(ctx context.Context, root string, r *report, name, rateGoal, cpuGoal string, change func(*v1.Pod)) (err error) {
	p, err := newPlane(ctx, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if _, _, err := p.startAPIServer(ctx); err != nil {
		return err
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	if err := addNodes(ctx, client); err != nil {
		return err
	}
	scheduler, err := p.startScheduler(ctx)
	if err != nil {
		return err
	}
	allBound, err := awaitBindings(ctx, client)
	if err != nil {
		return err
	}
	began := time.Now()
	used, err := p.busy(ctx, "kube-scheduler "+name, scheduler, func() error {
		if _, err := rate(ctx, requestWorkers, boundPods, func(ctx context.Context, i int) error {
			pod := waitingPod(fmt.Sprintf("p-%d", i))
			pod.Spec.SchedulingGates = nil
			pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse("100m"), v1.ResourceMemory: resource.MustParse("500Mi")}
			change(pod)
			_, err := client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{})
			return err
		}); err != nil {
			return err
		}
		return allBound()
	})
	if err != nil {
		return err
	}
	r.add("kube-scheduler: pods bound, 1,000 nodes, "+name, boundPods/time.Since(began).Seconds(), "/s", rateGoal)
	r.add("kube-scheduler: CPU time of a pod, "+name, 1000*used.Seconds()/boundPods, "ms", cpuGoal)
	return nil
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// addNodes makes the nodes, ready and without taints, and the ServiceAccount of the pods.
func addNodes(ctx context.Context, client kubernetes.Interface) error {
	if _, err := client.CoreV1().ServiceAccounts("default").Create(ctx, &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	room := v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("32Gi"), v1.ResourcePods: resource.MustParse("110")}
	_, err := rate(ctx, requestWorkers, fakeNodes, func(ctx context.Context, i int) error {
		name := nodeName(i)
		node, err := client.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name,
			Labels: map[string]string{v1.LabelHostname: name, v1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3)}}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		node.Spec.Taints = nil // no controller takes away the taint that admission puts on new nodes
		if node, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
		node.Status = v1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}}
		_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	})
	return err
}

// awaitBindings counts the pods that get a node from now on; what it returns waits for all.
func awaitBindings(ctx context.Context, client kubernetes.Interface) (func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName!=" }))
	var bound atomic.Int64
	informer := factory.Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { bound.Add(1) }}); err != nil {
		cancel()
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return func() error {
		defer cancel()
		if err := await(ctx, 5*time.Minute, func() bool { return bound.Load() == boundPods }); err != nil {
			return fmt.Errorf("%d of %d pods got a node: %w", bound.Load(), boundPods, err)
		}
		return nil
	}, nil
}
