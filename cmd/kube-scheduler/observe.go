package main

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/config"
	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/queue"
)

// newPodInformers leaves out pods that have ended: they take no room.
func newPodInformers(client kubernetes.Interface) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(dropManagedFields),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = "status.phase!=Succeeded,status.phase!=Failed"
		}))
}

// inputs gives plugins their listers, which makes the informers behind them.
func (s *scheduler) inputs() config.Inputs {
	core, storage := s.informers.Core().V1(), s.informers.Storage().V1()
	core.Namespaces().Informer()
	s.informers.Policy().V1().PodDisruptionBudgets().Informer()
	return config.Inputs{
		Volumes: plugins.Volumes{
			Claims: core.PersistentVolumeClaims().Lister(), Volumes: core.PersistentVolumes().Lister(),
			Classes: storage.StorageClasses().Lister(), CSINodes: storage.CSINodes().Lister(),
		},
		DefaultSelector: s.defaultSelector(),
	}
}

// defaultSelector counts a pod's fellows by the selectors of its Services and of its owner.
func (s *scheduler) defaultSelector() func(*v1.Pod) labels.Selector {
	services := s.informers.Core().V1().Services().Lister()
	controllers := s.informers.Core().V1().ReplicationControllers().Lister()
	replicaSets, statefulSets := s.informers.Apps().V1().ReplicaSets().Lister(), s.informers.Apps().V1().StatefulSets().Lister()
	return func(pod *v1.Pod) labels.Selector {
		required := labels.Set{}
		if list, err := services.Services(pod.Namespace).List(labels.Everything()); err == nil {
			for _, svc := range list {
				if len(svc.Spec.Selector) > 0 && labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels)) {
					required = labels.Merge(required, svc.Spec.Selector)
				}
			}
		}
		selector := labels.NewSelector()
		if len(required) > 0 {
			selector = labels.SelectorFromSet(required)
		}
		owner := metav1.GetControllerOf(pod)
		if owner == nil {
			return selector
		}
		var own *metav1.LabelSelector
		switch schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind() {
		case schema.GroupKind{Kind: "ReplicationController"}:
			if rc, err := controllers.ReplicationControllers(pod.Namespace).Get(owner.Name); err == nil {
				own = &metav1.LabelSelector{MatchLabels: rc.Spec.Selector}
			}
		case schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}:
			if rs, err := replicaSets.ReplicaSets(pod.Namespace).Get(owner.Name); err == nil {
				own = rs.Spec.Selector
			}
		case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
			if ss, err := statefulSets.StatefulSets(pod.Namespace).Get(owner.Name); err == nil {
				own = ss.Spec.Selector
			}
		}
		if parsed, err := metav1.LabelSelectorAsSelector(own); own != nil && err == nil {
			if requirements, selectable := parsed.Requirements(); selectable {
				selector = selector.Add(requirements...)
			}
		}
		return selector
	}
}

// observe feeds the cache and the queue from the watches.
func (s *scheduler) observe() error {
	if _, err := s.pods.Core().V1().Pods().Informer().AddEventHandler(s.podHandler()); err != nil {
		return err
	}
	if _, err := s.informers.Core().V1().Nodes().Informer().AddEventHandler(s.nodeHandler()); err != nil {
		return err
	}
	for resource, informer := range map[framework.EventResource]cache.SharedIndexInformer{
		framework.PersistentVolume:      s.informers.Core().V1().PersistentVolumes().Informer(),
		framework.PersistentVolumeClaim: s.informers.Core().V1().PersistentVolumeClaims().Informer(),
		framework.StorageClass:          s.informers.Storage().V1().StorageClasses().Informer(),
		framework.CSINode:               s.informers.Storage().V1().CSINodes().Informer(),
	} {
		if _, err := informer.AddEventHandler(s.eventHandler(resource)); err != nil {
			return err
		}
	}
	return nil
}

// podHandler sorts pods: those with a node count there, those without one wait.
func (s *scheduler) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			pod := obj.(*v1.Pod)
			switch {
			case pod.Spec.NodeName != "":
				s.placed(nil, pod)
			case s.deciders[pod.Spec.SchedulerName] != nil && pod.DeletionTimestamp == nil:
				s.queue.Add(pod)
			}
		},
		UpdateFunc: func(o, n any) {
			old, pod := o.(*v1.Pod), n.(*v1.Pod)
			switch {
			case pod.Spec.NodeName != "":
				if old.Spec.NodeName == "" {
					s.queue.Delete(pod.UID)
					old = nil
				}
				s.placed(old, pod)
			case pod.DeletionTimestamp != nil:
				s.queue.Delete(pod.UID)
			case s.deciders[pod.Spec.SchedulerName] != nil:
				s.queue.Update(old, pod)
			}
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			pod, ok := obj.(*v1.Pod)
			if !ok {
				return
			}
			s.queue.Delete(pod.UID)
			s.cache.RemovePod(pod.UID)
			s.queue.Happened(plugins.Event{Resource: framework.AssignedPod, Action: framework.Delete, Old: pod})
		},
	}
}

func (s *scheduler) placed(old, pod *v1.Pod) {
	s.cache.SetPod(pod)
	if old == nil {
		s.queue.Happened(plugins.Event{Resource: framework.AssignedPod, Action: framework.Add, New: pod})
		return
	}
	for _, e := range queue.PodEvents(old, pod) {
		s.queue.Happened(e)
	}
}

func (s *scheduler) nodeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			node := obj.(*v1.Node)
			s.cache.SetNode(node)
			s.queue.Happened(plugins.Event{Resource: framework.Node, Action: framework.Add, New: node})
		},
		UpdateFunc: func(o, n any) {
			old, node := o.(*v1.Node), n.(*v1.Node)
			s.cache.SetNode(node)
			for _, e := range queue.NodeEvents(old, node) {
				s.queue.Happened(e)
			}
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if node, ok := obj.(*v1.Node); ok {
				s.cache.RemoveNode(node.Name)
				s.queue.Happened(plugins.Event{Resource: framework.Node, Action: framework.Delete, Old: node})
			}
		},
	}
}

func (s *scheduler) eventHandler(resource framework.EventResource) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { s.queue.Happened(plugins.Event{Resource: resource, Action: framework.Add, New: obj}) },
		UpdateFunc: func(old, obj any) {
			s.queue.Happened(plugins.Event{Resource: resource, Action: framework.Update, Old: old, New: obj})
		},
		DeleteFunc: func(obj any) { s.queue.Happened(plugins.Event{Resource: resource, Action: framework.Delete, Old: obj}) },
	}
}
