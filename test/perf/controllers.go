package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// measureControllers measures kube-controller-manager beside etcd and kube-apiserver; no node, no scheduler.
func measureControllers(ctx context.Context, root string, r *report) (err error) {
	p, err := newPlane(ctx, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if _, _, err := p.startAPIServer(ctx); err != nil {
		return err
	}
	manager, err := p.startControllers(ctx)
	if err != nil {
		return err
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	if err := pause(ctx, 20*time.Second); err != nil { // past the start
		return err
	}
	const idle = 20 * time.Second
	used, err := p.busy(ctx, "kube-controller-manager idle", manager, func() error { return pause(ctx, idle) })
	if err != nil {
		return err
	}
	r.add("kube-controller-manager: idle CPU, empty cluster", 1000*used.Seconds()/idle.Seconds(), "millicores", "≤ 5")
	memory, err := resident(manager.pid())
	if err != nil {
		return err
	}
	r.add("kube-controller-manager: idle memory, empty cluster", memory, "MB", "≤ 60 MB")
	for _, measure := range []func(context.Context, *plane, *process, kubernetes.Interface, *report) error{measureBigSecrets, measureNamespace, measureDeployment} {
		if err := measure(ctx, p, manager, client, r); err != nil {
			return err
		}
	}
	return nil
}

// measureDeployment scales a Deployment from 0 to 5,000 pods.
func measureDeployment(ctx context.Context, p *plane, manager *process, client kubernetes.Interface, r *report) error {
	const pods = 5000
	replicas := int32(pods)
	labels := map[string]string{"app": "web"}
	template := waitingPod("").Spec
	template.SchedulingGates = nil
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template}}}
	began := time.Now()
	used, err := p.busy(ctx, "kube-controller-manager deployment", manager, func() error {
		if _, err := client.AppsV1().Deployments("default").Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
			return err
		}
		return await(ctx, 5*time.Minute, func() bool {
			d, err := client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
			return err == nil && d.Status.Replicas == replicas
		})
	})
	if err != nil {
		return err
	}
	r.add("kube-controller-manager: Deployment 0 to 5,000, pods created", pods/time.Since(began).Seconds(), "/s", "≥ 3 × 283")
	r.add("kube-controller-manager: CPU time of a pod of it", 1000*used.Seconds()/pods, "ms", "≤ 0.7 × 0.72 ms")
	return nil
}

// measureNamespace deletes a namespace with 1,000 mixed objects.
func measureNamespace(ctx context.Context, _ *plane, _ *process, client kubernetes.Interface, r *report) error {
	if _, err := client.CoreV1().Namespaces().Create(ctx, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "full"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := await(ctx, time.Minute, func() bool {
		_, err := client.CoreV1().ServiceAccounts("full").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	}); err != nil {
		return fmt.Errorf("the default ServiceAccount of a new namespace: %w", err)
	}
	if _, err := rate(ctx, requestWorkers, 1000, func(ctx context.Context, i int) error {
		meta := metav1.ObjectMeta{Name: fmt.Sprintf("o-%d", i)}
		var err error
		switch i % 4 {
		case 0:
			_, err = client.CoreV1().ConfigMaps("full").Create(ctx, &v1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{})
		case 1:
			_, err = client.CoreV1().Secrets("full").Create(ctx, &v1.Secret{ObjectMeta: meta}, metav1.CreateOptions{})
		case 2:
			_, err = client.CoreV1().Pods("full").Create(ctx, waitingPod(meta.Name), metav1.CreateOptions{})
		case 3:
			_, err = client.CoreV1().Services("full").Create(ctx, &v1.Service{ObjectMeta: meta, Spec: v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
		}
		return err
	}); err != nil {
		return err
	}
	began := time.Now()
	if err := client.CoreV1().Namespaces().Delete(ctx, "full", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := await(ctx, 5*time.Minute, func() bool {
		_, err := client.CoreV1().Namespaces().Get(ctx, "full", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}); err != nil {
		return fmt.Errorf("the namespace does not go: %w", err)
	}
	r.add("kube-controller-manager: a namespace with 1,000 mixed objects is gone", time.Since(began).Seconds(), "s", "≤ 15 s")
	return nil
}

// measureBigSecrets looks whether Secrets that concern no controller fill its memory.
func measureBigSecrets(ctx context.Context, _ *plane, manager *process, client kubernetes.Interface, r *report) error {
	before, err := resident(manager.pid())
	if err != nil {
		return err
	}
	content := make([]byte, 256<<10)
	if _, err := rate(ctx, 4, 2000, func(ctx context.Context, i int) error {
		_, err := client.CoreV1().Secrets("default").Create(ctx, &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("big-%d", i)}, Data: map[string][]byte{"x": content}}, metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	after, err := resident(manager.pid())
	if err != nil {
		return err
	}
	r.add("kube-controller-manager: memory more with 2,000 Secrets of 256 KiB", after-before, "MB", "≤ 50 MB")
	return client.CoreV1().Secrets("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}
