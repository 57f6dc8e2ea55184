package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/chaos/memapi"
)

func workloadWorlds() map[string]func() World {
	return map[string]func() World{
		"replicaset-controller":                replicaSets,
		"replicationcontroller-controller":     replicationControllers,
		"deployment-controller":                deployments,
		"statefulset-controller":               statefulSets,
		"daemonset-controller":                 daemonSets,
		"job-controller":                       jobs,
		"cronjob-controller":                   cronJobs,
		"ttl-after-finished-controller":        ttlAfterFinished,
		"disruption-controller":                budgets,
		"horizontal-pod-autoscaler-controller": autoscalers,
		"podgroup-protection-controller":       protectedGroups,
	}
}

// asked remembers the most replicas that an object, by UID, was ever asked to have.
type asked map[types.UID]int64

func (a asked) note(e memapi.Event) {
	if n, ok, _ := unstructured.NestedInt64(e.Object.Object, "spec", "replicas"); ok {
		a[e.Object.GetUID()] = max(a[e.Object.GetUID()], n)
	}
}

// neverMore checks that actor does not make more pods than were ever asked for, and deletes no others than its own.
func neverMore(kind, actor string, most asked) func(c *Case, e memapi.Event) {
	return func(c *Case, e memapi.Event) {
		if e.Kind.Kind == kind {
			most.note(e)
		}
		if pod := createdPod(e, actor); pod != nil {
			owner := controllerUID(pod)
			// A pod whose label a user took is the set's no longer, even while it still names it as owner.
			there := podsOf(c, owner, func(p *v1.Pod) bool { return active(p) && p.Labels["app"] == pod.Labels["app"] })
			if n := int64(len(there)); n > most[owner] {
				c.Wrong("%s %s has %d pods, and was asked for %d at most", kind, metav1.GetControllerOf(pod).Name, n, most[owner])
			}
		}
		if pod := condemned(e, actor); pod != nil {
			if ref := metav1.GetControllerOf(pod); ref == nil || ref.Kind != kind {
				c.Wrong("%s deletes pod %s, which is not of a %s", actor, pod.Name, kind)
			}
		}
	}
}

func replicaSet(name string, replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: meta(name), Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selector(name), Template: template(name)}}
}

func scaleReplicaSet(name string, n int32) func(c *Case) {
	return func(c *Case) {
		edit[appsv1.ReplicaSet](c, "user", ns, name, func(s *appsv1.ReplicaSet) { s.Spec.Replicas = &n })
	}
}

func replicaSets() World {
	most := asked{}
	stranger := &v1.Pod{ObjectMeta: meta("stranger"), Spec: template("x").Spec}
	orphan := &v1.Pod{ObjectMeta: meta("orphan"), Spec: template("web").Spec}
	orphan.Labels = map[string]string{"app": "web"}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(3)
			c.Make(stranger, orphan, replicaSet("web", 4), replicaSet("api", 2))
		},
		Steps: []func(c *Case){
			scaleReplicaSet("web", 7), deletePodOf("web"), relabelPodOf("web"), loseNode("n1"),
			func(c *Case) {
				remove[appsv1.ReplicaSet](c, ns, "api", "")
				c.Make(replicaSet("api", 3)) // another one of the same name
			},
			scaleReplicaSet("web", 3), healNode("n1"), deletePodOf("web"), scaleReplicaSet("web", 5), deletePodOf("api"),
		},
		Check: neverMore("ReplicaSet", "replicaset-controller", most),
		Done: func(c *Case) error {
			for _, set := range all[appsv1.ReplicaSet](c) {
				pods := podsOf(c, set.UID, active)
				if err := inOrder(missing(set.Name+": pods", len(pods), *set.Spec.Replicas), missing(set.Name+": status.replicas", set.Status.Replicas, len(pods)),
					missing(set.Name+": status.readyReplicas", set.Status.ReadyReplicas, len(pods))); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func replicationControllers() World {
	most := asked{}
	scale := func(n int32) func(c *Case) {
		return func(c *Case) {
			edit[v1.ReplicationController](c, "user", ns, "rc", func(s *v1.ReplicationController) { s.Spec.Replicas = &n })
		}
	}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(&v1.ReplicationController{ObjectMeta: meta("rc"), Spec: v1.ReplicationControllerSpec{
				Replicas: ptr.To[int32](3), Selector: selector("rc").MatchLabels, Template: ptr.To(template("rc")),
			}})
		},
		Steps: []func(c *Case){scale(6), deletePodOf("rc"), relabelPodOf("rc"), scale(2), deletePodOf("rc"), scale(4)},
		Check: neverMore("ReplicationController", "replication-controller", most),
		Done: func(c *Case) error {
			set := one[v1.ReplicationController](c, ns, "rc")
			return inOrder(missing("pods", len(podsOf(c, set.UID, active)), 4), missing("status.readyReplicas", set.Status.ReadyReplicas, 4))
		},
	}
}

// deployments run with the real controller of their ReplicaSets.
func deployments() World {
	most := asked{}
	never := neverMore("ReplicaSet", "replicaset-controller", most)
	change := func(f func(*appsv1.Deployment)) func(c *Case) {
		return func(c *Case) { edit[appsv1.Deployment](c, "user", ns, "web", f) }
	}
	image := func(image string) func(c *Case) {
		return change(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
	}
	return World{
		With: []string{"replicaset-controller"},
		Begin: func(c *Case) {
			c.makeNodes(3)
			c.Make(&appsv1.Deployment{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](4), Selector: selector("web"), Template: template("web"), RevisionHistoryLimit: ptr.To[int32](2), ProgressDeadlineSeconds: ptr.To[int32](600),
				Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(1)),
				}},
			}})
		},
		Steps: []func(c *Case){
			image("two"), deletePodOf("web"), change(func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](6) }), image("three"), loseNode("n2"),
			image("i"), healNode("n2"), change(func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](3) }), image("four"),
		},
		Check: func(c *Case, e memapi.Event) {
			never(c, e)
			if e.Kind.Kind != "ReplicaSet" || e.Actor != "deployment-controller" || e.Type == "DELETED" {
				return
			}
			seen := map[string]string{}
			for _, set := range all[appsv1.ReplicaSet](c) {
				image := set.Spec.Template.Spec.Containers[0].Image
				if other := seen[image]; other != "" {
					c.Wrong("two ReplicaSets of one template: %s and %s", other, set.Name)
				}
				seen[image] = set.Name
			}
			// 6 is the most that were ever asked for, 1 the surge.
			sum := int32(0)
			for _, set := range all[appsv1.ReplicaSet](c) {
				sum += *set.Spec.Replicas
			}
			if sum > 7 {
				c.Wrong("the ReplicaSets ask for %d pods; 6 and a surge of 1 were asked for at most", sum)
			}
		},
		Done: func(c *Case) error {
			d := one[appsv1.Deployment](c, ns, "web")
			for _, set := range all[appsv1.ReplicaSet](c) {
				want := int32(0)
				if set.Spec.Template.Spec.Containers[0].Image == "four" {
					want = 3
				}
				if err := missing("replicas of "+set.Name, *set.Spec.Replicas, want); err != nil {
					return err
				}
			}
			return inOrder(missing("status.updatedReplicas", d.Status.UpdatedReplicas, 3), missing("status.availableReplicas", d.Status.AvailableReplicas, 3),
				missing("status.replicas", d.Status.Replicas, 3), missing("status.observedGeneration", d.Status.ObservedGeneration, d.Generation),
				// "four" and those that two more are kept of; an image that the controller never saw has none.
				missing("no more than 3 ReplicaSets", len(all[appsv1.ReplicaSet](c)) <= 3, true))
		},
	}
}

func statefulSet(name string, replicas int32) *appsv1.StatefulSet {
	claim := v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}
	return &appsv1.StatefulSet{ObjectMeta: meta(name), Spec: appsv1.StatefulSetSpec{
		Replicas: &replicas, Selector: selector(name), Template: template(name), ServiceName: name, PodManagementPolicy: appsv1.OrderedReadyPodManagement,
		UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
		VolumeClaimTemplates: []v1.PersistentVolumeClaim{claim}, RevisionHistoryLimit: ptr.To[int32](10),
		PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
		},
	}}
}

func changeStatefulSet(f func(*appsv1.StatefulSet)) func(c *Case) {
	return func(c *Case) { edit[appsv1.StatefulSet](c, "user", ns, "db", f) }
}

func scaleStatefulSet(n int32) func(c *Case) {
	return changeStatefulSet(func(s *appsv1.StatefulSet) { s.Spec.Replicas = &n })
}

// orderly checks that a StatefulSet takes no containers' name away before they have ended, and keeps its claims.
func orderly(c *Case, e memapi.Event) {
	if e.Actor != "statefulset-controller" {
		return
	}
	switch {
	case e.Kind.Resource == "persistentvolumeclaims" && e.Type == "DELETED":
		c.Wrong("claim %s is deleted", e.Object.GetName())
	case e.Kind.Resource == "pods" && e.Type == "DELETED":
		if pod := typed[v1.Pod](e.Old); pod.Spec.NodeName != "" && !finished(pod) {
			c.Wrong("pod %s is taken from the API while its containers run", pod.Name)
		}
	case e.Kind.Resource == "pods" && e.Old == nil:
		if most := 5; len(all[v1.Pod](c)) > most {
			c.Wrong("%d pods, and %d were asked for at most", len(all[v1.Pod](c)), most)
		}
	}
	if pod := condemned(e, "statefulset-controller"); pod != nil {
		if ref := metav1.GetControllerOf(pod); ref == nil || ref.Kind != "StatefulSet" {
			c.Wrong("pod %s is deleted, which is not of a StatefulSet", pod.Name)
		}
	}
}

func statefulSets() World {
	return World{
		With: []string{"garbage-collector-controller"}, // a pod may be made for a set that has just gone
		Begin: func(c *Case) {
			c.makeNodes(3)
			c.Make(statefulSet("db", 3))
		},
		Steps: []func(c *Case){
			deletePodOf("db"), scaleStatefulSet(5), changeStatefulSet(func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = "two" }), loseNode("n1"),
			scaleStatefulSet(2), deletePodOf("db"), healNode("n1"),
			func(c *Case) {
				// Deleted with its pods left behind, and made again: the pods are taken over.
				var have *appsv1.StatefulSet
				c.Server.Locked(func() { have = one[appsv1.StatefulSet](c, ns, "db") })
				remove[appsv1.StatefulSet](c, ns, "db", "")
				var pods []*v1.Pod
				c.Server.Locked(func() { pods = podsOf(c, have.UID, nil) })
				for _, pod := range pods {
					edit[v1.Pod](c, "user", ns, pod.Name, func(p *v1.Pod) { p.OwnerReferences = nil })
				}
				fresh := statefulSet("db", 4)
				fresh.Spec.Template.Spec.Containers[0].Image = "three"
				c.Make(fresh)
			},
			deletePodOf("db"),
		},
		Check: orderly,
		Done: func(c *Case) error {
			set := one[appsv1.StatefulSet](c, ns, "db")
			pods := podsOf(c, set.UID, active)
			for i, pod := range pods {
				if err := inOrder(missing("name", pod.Name, fmt.Sprintf("db-%d", i)), missing("image of "+pod.Name, pod.Spec.Containers[0].Image, "three")); err != nil {
					return err
				}
			}
			return inOrder(missing("pods", len(pods), 4), missing("status.readyReplicas", set.Status.ReadyReplicas, 4), missing("status.updatedReplicas", set.Status.UpdatedReplicas, 4),
				missing("status.currentRevision", set.Status.CurrentRevision, set.Status.UpdateRevision))
		},
	}
}

func daemonSets() World {
	label := func(node string, on bool) func(c *Case) {
		return func(c *Case) {
			edit[v1.Node](c, "user", "", node, func(n *v1.Node) {
				n.Labels = map[string]string{}
				if on {
					n.Labels["agent"] = "yes"
				}
			})
		}
	}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(4)
			for _, n := range []string{"n1", "n2", "n3"} {
				label(n, true)(c)
			}
			t := template("agent")
			t.Spec.NodeSelector = map[string]string{"agent": "yes"}
			c.Make(&appsv1.DaemonSet{ObjectMeta: meta("agent"), Spec: appsv1.DaemonSetSpec{
				Selector: selector("agent"), Template: t, RevisionHistoryLimit: ptr.To[int32](10),
				UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{
					MaxUnavailable: ptr.To(intstr.FromInt32(1)), MaxSurge: ptr.To(intstr.FromInt32(0)),
				}},
			}})
		},
		Steps: []func(c *Case){
			label("n4", true), deletePodOf("agent"), label("n2", false),
			func(c *Case) {
				edit[appsv1.DaemonSet](c, "user", ns, "agent", func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.Containers[0].Image = "two" })
			},
			loseNode("n1"), deletePodOf("agent"), label("n2", true), relabelPodOf("agent"), healNode("n1"), deletePodOf("agent"),
		},
		Check: func(c *Case, e memapi.Event) {
			if made := createdPod(e, "daemon-set-controller"); made != nil {
				// A pod whose label a user took is the set's no longer, even while it still names it as owner.
				there := podsOf(c, controllerUID(made), func(p *v1.Pod) bool {
					return !finished(p) && targetOf(p) == targetOf(made) && p.Labels["app"] == "agent"
				})
				if len(there) > 1 {
					c.Wrong("node %s gets %s while it has %s", targetOf(made), made.Name, there[0].Name)
				}
			}
			if pod := condemned(e, "daemon-set-controller"); pod != nil && controllerUID(pod) == "" {
				c.Wrong("pod %s is deleted, which is nobody's", pod.Name)
			}
		},
		Done: func(c *Case) error {
			set := one[appsv1.DaemonSet](c, ns, "agent")
			var on []string
			for _, pod := range podsOf(c, set.UID, func(p *v1.Pod) bool { return active(p) && podReady(p) }) {
				on = append(on, targetOf(pod)+" "+pod.Spec.Containers[0].Image)
			}
			slices.Sort(on)
			return inOrder(missing("pods", on, []string{"n1 two", "n2 two", "n3 two", "n4 two"}), missing("status.numberReady", set.Status.NumberReady, 4),
				missing("status.updatedNumberScheduled", set.Status.UpdatedNumberScheduled, 4), missing("status.numberMisscheduled", set.Status.NumberMisscheduled, 0))
		},
	}
}

// targetOf is the node that a DaemonSet's pod is bound to, or made for.
func targetOf(pod *v1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			return f.Values[0]
		}
	}
	return ""
}

// trackJobs gives new Jobs the selector that the API server makes for them.
func trackJobs(k memapi.Kind, o *memapi.Object) error {
	if k.Kind == "Job" {
		uid := string(o.GetUID())
		_ = unstructured.SetNestedStringMap(o.Object, map[string]string{batchv1.ControllerUidLabel: uid}, "spec", "selector", "matchLabels")
		_ = unstructured.SetNestedField(o.Object, uid, "spec", "template", "metadata", "labels", batchv1.ControllerUidLabel)
		_ = unstructured.SetNestedField(o.Object, o.GetName(), "spec", "template", "metadata", "labels", batchv1.JobNameLabel)
	}
	return nil
}

func job(name string, parallel, completions int32, mode batchv1.CompletionMode) *batchv1.Job {
	t := template(name)
	t.Spec.RestartPolicy = v1.RestartPolicyNever
	return &batchv1.Job{ObjectMeta: meta(name), Spec: batchv1.JobSpec{
		Parallelism: &parallel, Completions: &completions, BackoffLimit: ptr.To[int32](1000), CompletionMode: &mode, Template: t,
		PodReplacementPolicy: ptr.To(batchv1.TerminatingOrFailed), Suspend: ptr.To(false), ManualSelector: ptr.To(false),
	}}
}

// ends counts how pods ended, by Job and pod.
type ends map[types.UID]map[types.UID]v1.PodPhase

func (s ends) note(e memapi.Event) {
	if e.Kind.Resource != "pods" {
		return
	}
	pod := typed[v1.Pod](e.Object)
	if e.Type == watch.Deleted && pod.Status.Phase != v1.PodSucceeded {
		pod.Status.Phase = v1.PodFailed // deleted before it ran, or by force
	}
	// A pod that succeeds without the finalizer was let go before: its Job was suspended, or had too many.
	if owner := controllerUID(pod); owner != "" && (pod.Status.Phase == v1.PodFailed || finished(pod) && slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer)) {
		if s[owner] == nil {
			s[owner] = map[types.UID]v1.PodPhase{}
		}
		s[owner][pod.UID] = pod.Status.Phase
	}
}

func (s ends) count(owner types.UID, phase v1.PodPhase) int {
	n := 0
	for _, p := range s[owner] {
		if p == phase {
			n++
		}
	}
	return n
}

func jobs() World {
	ended := ends{}
	suspend := func(on bool) func(c *Case) {
		return func(c *Case) {
			edit[batchv1.Job](c, "user", ns, "many", func(j *batchv1.Job) { j.Spec.Suspend = &on })
		}
	}
	return World{
		Begin: func(c *Case) {
			c.Server.Admit = trackJobs
			c.makeNodes(3)
			dice := c.dice("failures")
			c.Nodes.Fails = func(*v1.Pod) bool { return dice.IntN(4) == 0 }
			c.Make(job("many", 3, 7, batchv1.NonIndexedCompletion), job("index", 2, 5, batchv1.IndexedCompletion), job("gone", 2, 100, batchv1.NonIndexedCompletion))
		},
		Steps: []func(c *Case){
			deletePodOf("many"), suspend(true), deletePodOf("index"), suspend(false), loseNode("n1"), deletePodOf("many"),
			func(c *Case) { remove[batchv1.Job](c, ns, "gone", "") }, healNode("n1"), deletePodOf("index"),
		},
		Check: func(c *Case, e memapi.Event) {
			ended.note(e)
			if made := createdPod(e, "job-controller"); made != nil {
				checkNewJobPod(c, made, ended)
			}
			checkCounted(c, e)
		},
		Done: func(c *Case) error {
			for _, j := range all[batchv1.Job](c) {
				if err := inOrder(missing(j.Name+": status.succeeded", j.Status.Succeeded, *j.Spec.Completions),
					missing(j.Name+": pods that succeeded", ended.count(j.UID, v1.PodSucceeded), *j.Spec.Completions),
					// Pods that were dropped fail too, and count for nothing.
					missing(j.Name+": no more failures than there were", int(j.Status.Failed) <= ended.count(j.UID, v1.PodFailed), true),
					missing(j.Name+": complete", jobIs(j, batchv1.JobComplete), true)); err != nil {
					return err
				}
			}
			for _, pod := range all[v1.Pod](c) {
				if slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer) {
					return fmt.Errorf("pod %s still has the finalizer %s", pod.Name, batchv1.JobTrackingFinalizer)
				}
			}
			return nil
		},
	}
}

func jobIs(j *batchv1.Job, kind batchv1.JobConditionType) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == kind && c.Status == v1.ConditionTrue })
}

// checkNewJobPod checks that a new pod is not one too many, and not the second of its index.
func checkNewJobPod(c *Case, made *v1.Pod, ended ends) {
	ref := metav1.GetControllerOf(made)
	j := one[batchv1.Job](c, made.Namespace, ref.Name)
	if j == nil || j.UID != ref.UID {
		return
	}
	running := podsOf(c, j.UID, active)
	if len(running) > int(*j.Spec.Parallelism) {
		c.Wrong("Job %s has %d active pods, of %d that may be", j.Name, len(running), *j.Spec.Parallelism)
	}
	index := made.Annotations[batchv1.JobCompletionIndexAnnotation]
	if index == "" {
		if n := len(running) + ended.count(j.UID, v1.PodSucceeded); n > int(*j.Spec.Completions) {
			c.Wrong("Job %s has %d pods that run or succeeded, of %d that are to", j.Name, n, *j.Spec.Completions)
		}
		return
	}
	for _, other := range running {
		if other.UID != made.UID && other.Annotations[batchv1.JobCompletionIndexAnnotation] == index {
			c.Wrong("Job %s has two active pods of index %s: %s and %s", j.Name, index, other.Name, made.Name)
		}
	}
}

// checkCounted checks that a finished pod is let go only when the Job's status has it.
func checkCounted(c *Case, e memapi.Event) {
	if e.Kind.Resource != "pods" || e.Old == nil || e.Actor != "job-controller" || !slices.Contains(e.Old.GetFinalizers(), batchv1.JobTrackingFinalizer) ||
		slices.Contains(e.Object.GetFinalizers(), batchv1.JobTrackingFinalizer) {
		return
	}
	pod := typed[v1.Pod](e.Object)
	ref := metav1.GetControllerOf(pod)
	if ref == nil || !finished(pod) {
		return
	}
	j := one[batchv1.Job](c, pod.Namespace, ref.Name)
	if j == nil || j.UID != ref.UID || j.DeletionTimestamp != nil || jobIs(j, batchv1.JobComplete) || jobIs(j, batchv1.JobFailed) {
		return
	}
	if u := j.Status.UncountedTerminatedPods; u != nil && (slices.Contains(u.Succeeded, pod.UID) || slices.Contains(u.Failed, pod.UID)) {
		return
	}
	if hasIndex(j.Status.CompletedIndexes, pod.Annotations[batchv1.JobCompletionIndexAnnotation]) {
		return
	}
	c.Wrong("pod %s of Job %s, which ended, is let go before it is counted", pod.Name, j.Name)
}

// hasIndex tells whether a list such as "0-2,5" has an index.
func hasIndex(list, index string) bool {
	n, err := strconv.Atoi(index)
	if err != nil {
		return false
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		if errA == nil && errB == nil && a <= n && n <= b {
			return true
		}
	}
	return false
}

func cronJobs() World {
	suspended := time.Time{}
	return World{
		Begin: func(c *Case) {
			c.Server.Admit = trackJobs
			c.Make(&batchv1.CronJob{ObjectMeta: meta("tick"), Spec: batchv1.CronJobSpec{
				Schedule: "* * * * *", ConcurrencyPolicy: batchv1.AllowConcurrent, SuccessfulJobsHistoryLimit: ptr.To[int32](3), FailedJobsHistoryLimit: ptr.To[int32](1),
				JobTemplate: batchv1.JobTemplateSpec{Spec: job("x", 1, 1, batchv1.NonIndexedCompletion).Spec}, Suspend: ptr.To(false),
			}})
		},
		Steps: []func(c *Case){finishJobs, finishJobs, finishJobs, finishJobs, func(c *Case) {
			edit[batchv1.CronJob](c, "user", ns, "tick", func(j *batchv1.CronJob) { j.Spec.Suspend = ptr.To(true) })
			suspended = time.Now()
		}, finishJobs, finishJobs},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "Job" || e.Old != nil || e.Actor != "cronjob-controller" {
				return
			}
			// Its name says the minute it is for, so that no minute has two.
			seen := map[string]string{}
			for _, past := range c.pastJobs() {
				at := past.GetAnnotations()[batchv1.CronJobScheduledTimestampAnnotation]
				if other := seen[at]; other != "" && at != "" {
					c.Wrong("two Jobs of %s: %s and %s", at, other, past.GetName())
				}
				seen[at] = past.GetName()
			}
		},
		Done: func(c *Case) error {
			cron := one[batchv1.CronJob](c, ns, "tick")
			done := 0
			for _, j := range all[batchv1.Job](c) {
				if jobIs(j, batchv1.JobComplete) {
					done++
				} else if suspended.IsZero() {
					return fmt.Errorf("not suspended yet")
				}
			}
			if done > 3 {
				return fmt.Errorf("%d finished Jobs are kept, of 3", done)
			}
			// One that is suspended soon has perhaps started none; what was started is not forgotten.
			started := len(c.pastJobs()) > 0
			if !started && suspended.Sub(cron.CreationTimestamp.Time) > 2*time.Minute {
				return fmt.Errorf("no Job was ever started")
			}
			if err := missing("has a status.lastScheduleTime", cron.Status.LastScheduleTime != nil, started); err != nil {
				return err
			}
			open := 0
			for _, j := range all[batchv1.Job](c) {
				if !jobIs(j, batchv1.JobComplete) {
					open++
				}
			}
			return missing("status.active", len(cron.Status.Active), open)
		},
	}
}

// pastJobs are all Jobs that were ever made.
func (c *Case) pastJobs() []*memapi.Object {
	var out []*memapi.Object
	for _, e := range c.logOf("Job") {
		if e.Old == nil {
			out = append(out, e.Object)
		}
	}
	return out
}

// finishJobs completes all Jobs that there are.
func finishJobs(c *Case) {
	var open []*batchv1.Job
	c.Server.Locked(func() { open = all[batchv1.Job](c) })
	for _, j := range open {
		edit[batchv1.Job](c, "user", j.Namespace, j.Name, func(j *batchv1.Job) {
			if jobIs(j, batchv1.JobComplete) {
				return
			}
			now := metav1.Now()
			j.Status.CompletionTime = &now
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: batchv1.JobComplete, Status: v1.ConditionTrue, LastTransitionTime: now})
		})
	}
}

func ttlAfterFinished() World {
	expiring := func(name string) *batchv1.Job {
		j := job(name, 1, 1, batchv1.NonIndexedCompletion)
		j.Spec.TTLSecondsAfterFinished = ptr.To[int32](20)
		return j
	}
	return World{
		With: []string{"garbage-collector-controller"},
		Begin: func(c *Case) {
			c.Make(expiring("a"), expiring("b"), job("forever", 1, 1, batchv1.NonIndexedCompletion))
		},
		Steps: []func(c *Case){finishJobs, func(c *Case) { c.Make(expiring("c")) }, func(c *Case) {
			edit[batchv1.Job](c, "user", ns, "b", func(j *batchv1.Job) { j.Spec.TTLSecondsAfterFinished = ptr.To[int32](400) })
		}, finishJobs, func(c *Case) {
			remove[batchv1.Job](c, ns, "a", "")
			_, _ = c.Server.Create("user", toObject(expiring("a"))) // the old one may still wait for its dependents
		}, finishJobs},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "Job" || e.Object.GetDeletionTimestamp() == nil || e.Actor != "ttl-after-finished-controller" {
				return
			}
			j := typed[batchv1.Job](e.Old)
			if j.Spec.TTLSecondsAfterFinished == nil || !jobIs(j, batchv1.JobComplete) {
				c.Wrong("Job %s is deleted, which has not finished or has no time to live", j.Name)
			} else if end := j.Status.Conditions[0].LastTransitionTime.Add(time.Duration(*j.Spec.TTLSecondsAfterFinished) * time.Second); time.Now().Before(end) {
				c.Wrong("Job %s is deleted at %s, and lives until %s", j.Name, time.Now(), end)
			}
		},
		Done: func(c *Case) error { return missing("Jobs", len(all[batchv1.Job](c)), 1) },
	}
}

func budgets() World {
	return World{
		With: []string{"replicaset-controller"},
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(replicaSet("web", 4), &policyv1.PodDisruptionBudget{ObjectMeta: meta("web"), Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: selector("web"),
			}})
		},
		Steps: []func(c *Case){
			deletePodOf("web"), scaleReplicaSet("web", 6), deletePodOf("web"), scaleReplicaSet("web", 3),
			func(c *Case) {
				edit[policyv1.PodDisruptionBudget](c, "user", ns, "web", func(b *policyv1.PodDisruptionBudget) { b.Spec.MaxUnavailable = ptr.To(intstr.FromInt32(2)) })
			},
			deletePodOf("web"),
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind == "PodDisruptionBudget" {
				if b := typed[policyv1.PodDisruptionBudget](e.Object).Status; b.DisruptionsAllowed > max(0, b.CurrentHealthy-b.DesiredHealthy) {
					c.Wrong("%d disruptions are allowed; %d pods are healthy, and %d have to be", b.DisruptionsAllowed, b.CurrentHealthy, b.DesiredHealthy)
				}
			}
		},
		Done: func(c *Case) error {
			b := one[policyv1.PodDisruptionBudget](c, ns, "web")
			return inOrder(missing("expectedPods", b.Status.ExpectedPods, 3), missing("currentHealthy", b.Status.CurrentHealthy, 3), missing("disruptionsAllowed", b.Status.DisruptionsAllowed, 2),
				missing("observedGeneration", b.Status.ObservedGeneration, b.Generation))
		},
	}
}

// autoscalers see a load that makes 4 of any number of pods right.
func autoscalers() World {
	return World{
		With: []string{"replicaset-controller"},
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Server.Extra = metricsOf(c, 4*500)
			set := replicaSet("web", 2)
			set.Spec.Template.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: quantity("1")}
			c.Make(set, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta("web"), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"}, MinReplicas: ptr.To[int32](1), MaxReplicas: 6,
				Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
					Name: v1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](50)},
				}}},
			}})
		},
		Steps: []func(c *Case){deletePodOf("web"), scaleReplicaSet("web", 1), deletePodOf("web")},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind == "ReplicaSet" && e.Actor == "horizontal-pod-autoscaler" {
				if n, _, _ := unstructured.NestedInt64(e.Object.Object, "spec", "replicas"); n > 6 || n < 1 {
					c.Wrong("scaled to %d, outside 1 … 6", n)
				}
			}
		},
		Done: func(c *Case) error {
			h := one[autoscalingv2.HorizontalPodAutoscaler](c, ns, "web")
			return inOrder(missing("replicas", *one[appsv1.ReplicaSet](c, ns, "web").Spec.Replicas, 4), missing("status.currentReplicas", h.Status.CurrentReplicas, 4), missing("status.desiredReplicas", h.Status.DesiredReplicas, 4))
		},
	}
}

func protectedGroups() World {
	const finalizer = "scheduling.k8s.io/podgroup-protection"
	group := func(name string) *schedulingv1beta1.PodGroup {
		return &schedulingv1beta1.PodGroup{ObjectMeta: meta(name)}
	}
	member := func(name, group string) *v1.Pod {
		p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec}
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		p.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &group}
		return p
	}
	drop := func(name string) func(c *Case) {
		return func(c *Case) { remove[schedulingv1beta1.PodGroup](c, ns, name, "") }
	}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(group("a"), group("b"), group("free"), member("pa", "a"))
			time.Sleep(5 * time.Second)
		},
		Steps: []func(c *Case){
			drop("a"), drop("free"), func(c *Case) { c.Make(member("pb", "b")) }, drop("b"),
			func(c *Case) { c.Make(group("late"), member("pl", "late")) }, drop("late"),
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "PodGroup" || e.Actor != "podgroup-protection-controller" || e.Old == nil || !slices.Contains(e.Old.GetFinalizers(), finalizer) || slices.Contains(e.Object.GetFinalizers(), finalizer) {
				return
			}
			for _, pod := range all[v1.Pod](c) {
				if pod.Spec.SchedulingGroup != nil && *pod.Spec.SchedulingGroup.PodGroupName == e.Object.GetName() && !finished(pod) {
					c.Wrong("PodGroup %s is let go while its pod %s has not ended", e.Object.GetName(), pod.Name)
				}
			}
		},
		Done: func(c *Case) error { return missing("groups", len(all[schedulingv1beta1.PodGroup](c)), 0) },
	}
}
