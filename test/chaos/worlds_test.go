package chaos

import (
	"fmt"
	"maps"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/chaos/memapi"
)

// worlds has a world for each controller of the table, by name.
func worlds() map[string]func() World {
	out := map[string]func() World{}
	for _, part := range []map[string]func() World{workloadWorlds(), clusterWorlds(), identityWorlds(), storageWorlds(), networkWorlds()} {
		maps.Copy(out, part)
	}
	return out
}

const ns = metav1.NamespaceDefault

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }

// template is a pod template with the label app.
func template(app string) v1.PodTemplateSpec {
	return v1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec: v1.PodSpec{
			RestartPolicy: v1.RestartPolicyAlways, TerminationGracePeriodSeconds: ptr.To[int64](30),
			Containers: []v1.Container{{Name: "c", Image: "i"}},
		},
	}
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

func active(pod *v1.Pod) bool { return !finished(pod) && pod.DeletionTimestamp == nil }

func controllerUID(o metav1.Object) types.UID {
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		return ref.UID
	}
	return ""
}

// podsOf are the pods that an owner controls and that fit; the server is locked.
func podsOf(c *Case, owner types.UID, fits func(*v1.Pod) bool) []*v1.Pod {
	var out []*v1.Pod
	for _, pod := range all[v1.Pod](c) {
		if controllerUID(pod) == owner && (fits == nil || fits(pod)) {
			out = append(out, pod)
		}
	}
	return out
}

func podReady(pod *v1.Pod) bool {
	for _, cond := range pod.Status.Conditions {
		if cond.Type == v1.PodReady {
			return cond.Status == v1.ConditionTrue
		}
	}
	return false
}

// createdPod is the pod that an event is the creation of, by this actor; nil for other events.
func createdPod(e memapi.Event, actor string) *v1.Pod {
	if e.Kind.Resource != "pods" || e.Old != nil || e.Actor != actor {
		return nil
	}
	return typed[v1.Pod](e.Object)
}

// condemned is the pod whose deletion this event is the beginning of, by this actor; nil for other events.
func condemned(e memapi.Event, actor string) *v1.Pod {
	if e.Kind.Resource != "pods" || e.Old == nil || e.Actor != actor || e.Old.GetDeletionTimestamp() != nil || e.Object.GetDeletionTimestamp() == nil {
		return nil
	}
	return typed[v1.Pod](e.Old)
}

// deletePodOf deletes some pod with the label app, as a user does.
func deletePodOf(app string) func(c *Case) {
	return func(c *Case) {
		if pod := c.anyPod(app); pod != nil {
			remove[v1.Pod](c, pod.Namespace, pod.Name, "")
		}
	}
}

// relabelPodOf takes the label app from some pod.
func relabelPodOf(app string) func(c *Case) {
	return func(c *Case) {
		if pod := c.anyPod(app); pod != nil {
			edit[v1.Pod](c, "user", pod.Namespace, pod.Name, func(p *v1.Pod) { p.Labels["app"] = "apart" })
		}
	}
}

func (c *Case) anyPod(app string) *v1.Pod {
	var found []*v1.Pod
	c.Server.Locked(func() {
		for _, pod := range all[v1.Pod](c) {
			if pod.Labels["app"] == app && active(pod) {
				found = append(found, pod)
			}
		}
	})
	if len(found) == 0 {
		return nil
	}
	return found[c.Rand.IntN(len(found))]
}

// loseNode cuts a node off for a while.
func loseNode(name string) func(c *Case) { return func(c *Case) { c.Nodes.Lost[name] = true } }

func healNode(name string) func(c *Case) { return func(c *Case) { delete(c.Nodes.Lost, name) } }

func missing(what string, have, want any) error {
	if fmt.Sprint(have) == fmt.Sprint(want) {
		return nil
	}
	return fmt.Errorf("%s: %v, not %v", what, have, want)
}

// inOrder returns the first error.
func inOrder(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
