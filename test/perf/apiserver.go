package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// measureAPIServer measures kube-apiserver alone: its start, its memory, its requests and its watches.
func measureAPIServer(ctx context.Context, root string, r *report) (err error) {
	p, err := newPlane(ctx, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	server, took, err := p.startAPIServer(ctx)
	if err != nil {
		return err
	}
	r.add("kube-apiserver: start to /readyz on a fresh etcd", took.Seconds(), "s", "≤ 1.1 s")
	if err := pause(ctx, 30*time.Second); err != nil {
		return err
	}
	idle, err := resident(server.pid())
	if err != nil {
		return err
	}
	r.add("kube-apiserver: idle memory after 30 s", idle, "MB", "≤ 140 MB")
	client, err := p.client()
	if err != nil {
		return err
	}
	for _, measure := range []func(context.Context, *plane, *process, kubernetes.Interface, *report) error{measureRequests, measureLists, measureWatches, measurePodCache} {
		if err := measure(ctx, p, server, client, r); err != nil {
			return err
		}
	}
	return nil
}

// requestWorkers send requests at once.
const requestWorkers = 16

func measureRequests(ctx context.Context, p *plane, server *process, client kubernetes.Interface, r *report) error {
	maps := client.CoreV1().ConfigMaps("default")
	const count = 5000
	name := func(i int) string { return fmt.Sprintf("perf-%d", i) }
	value := strings.Repeat("x", 256)
	for _, m := range []struct {
		what, goal string
		do         func(context.Context, int) error
	}{
		{"create", "≥ 1.3 × 1,216", func(ctx context.Context, i int) error {
			_, err := maps.Create(ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name(i)}, Data: map[string]string{"k": value}}, metav1.CreateOptions{})
			return err
		}},
		{"get", "≥ 1.3 × 2,743", func(ctx context.Context, i int) error {
			_, err := maps.Get(ctx, name(i), metav1.GetOptions{})
			return err
		}},
		{"server-side apply", "≥ 1.3 × 898", func(ctx context.Context, i int) error {
			_, err := maps.Apply(ctx, corev1.ConfigMap(name(i), "default").WithData(map[string]string{"a": value}), metav1.ApplyOptions{FieldManager: "perf", Force: true})
			return err
		}},
	} {
		var perSecond float64
		used, err := p.busy(ctx, "kube-apiserver "+m.what, server, func() (err error) {
			perSecond, err = rate(ctx, requestWorkers, count, m.do)
			return err
		})
		if err != nil {
			return err
		}
		r.add("kube-apiserver: "+m.what+" of ConfigMaps, 16 clients", perSecond, "/s", m.goal)
		r.add("kube-apiserver: CPU time of a "+m.what, used.Seconds()*1000/count, "ms", "")
	}
	return nil
}

// measureLists measures the server's CPU time for lists of the 5,000 ConfigMaps that measureRequests left.
func measureLists(ctx context.Context, p *plane, server *process, _ kubernetes.Interface, r *report) error {
	const lists = 20
	for _, form := range []struct{ name, accept, goal string }{
		{"protobuf", "application/vnd.kubernetes.protobuf", "≤ 0.7 × 34 ms"},
		{"JSON", "application/json", "≤ 0.7 × 42 ms"},
	} {
		config := rest.CopyConfig(p.admin)
		config.AcceptContentTypes = form.accept
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		used, err := p.busy(ctx, "kube-apiserver list "+form.name, server, func() error {
			for range lists {
				if _, err := client.CoreV1().RESTClient().Get().Resource("configmaps").Namespace("default").Param("resourceVersion", "0").DoRaw(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.add("kube-apiserver: CPU time of a list of 5,000 ConfigMaps, "+form.name, float64(used.Milliseconds())/lists, "ms", form.goal)
	}
	return nil
}

func measureWatches(ctx context.Context, _ *plane, _ *process, client kubernetes.Interface, r *report) error {
	const watchers, changes = 50, 2000
	maps := client.CoreV1().ConfigMaps("default")
	list, err := maps.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	var seen atomic.Int64
	for range watchers {
		w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		if err != nil {
			return err
		}
		defer w.Stop()
		go func() {
			for e := range w.ResultChan() {
				if e.Type == watch.Added {
					seen.Add(1)
				}
			}
		}()
	}
	began := time.Now()
	if _, err := rate(ctx, requestWorkers, changes, func(ctx context.Context, i int) error {
		_, err := maps.Create(ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("watched-%d", i)}}, metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	if err := await(ctx, time.Minute, func() bool { return seen.Load() >= watchers*changes }); err != nil {
		return fmt.Errorf("%d of %d events arrived: %w", seen.Load(), watchers*changes, err)
	}
	r.add("kube-apiserver: events delivered to 50 watchers", watchers*changes/time.Since(began).Seconds(), "/s", "≥ 1.3 × 32,124")
	return nil
}

// measurePodCache fills the watch caches with nodes and the pods on them, then with pods that wait.
func measurePodCache(ctx context.Context, _ *plane, server *process, client kubernetes.Interface, r *report) error {
	const bound, pods = 10000, 50000
	if err := addNodes(ctx, client); err != nil {
		return err
	}
	create := func(first, count int, change func(*v1.Pod, int)) (float64, error) {
		return rate(ctx, requestWorkers, count, func(ctx context.Context, i int) error {
			pod := waitingPod(fmt.Sprintf("perf-%d", first+i))
			change(pod, i)
			_, err := client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{})
			return err
		})
	}
	memory := func(what, goal string) error {
		if err := pause(ctx, 15*time.Second); err != nil {
			return err
		}
		used, err := resident(server.pid())
		if err != nil {
			return err
		}
		r.add("kube-apiserver: memory with "+what, used, "MB", goal)
		return nil
	}
	if _, err := create(0, bound, func(pod *v1.Pod, i int) {
		pod.Spec.SchedulingGates, pod.Spec.NodeName = nil, nodeName(i%fakeNodes)
	}); err != nil {
		return err
	}
	if err := memory("1,000 nodes and 10,000 pods on them", "≤ 0.5 × 1,017 MB"); err != nil {
		return err
	}
	created, err := create(bound, pods-bound, func(*v1.Pod, int) {})
	if err != nil {
		return err
	}
	r.add("kube-apiserver: create of pods, 16 clients", created, "/s", "")
	return memory("50,000 pods", "≤ 0.7 × upstream")
}

// waitingPod is a pod that a gate keeps from being scheduled (KEP-3521).
func waitingPod(name string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "perf", "tier": "none"}},
		Spec: v1.PodSpec{
			SchedulingGates: []v1.PodSchedulingGate{{Name: "perf.example.org/wait"}},
			Containers:      []v1.Container{{Name: "app", Image: "registry.example.org/app:1", Env: []v1.EnvVar{{Name: "A", Value: "b"}}}},
		},
	}
}
