package statefulset

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func stateful(replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": "db"}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "set"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template:       v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](0)}},
		},
	}
}

// world carries plans out and plays kubelet.
type world struct {
	t        *testing.T
	set      *appsv1.StatefulSet
	pods     map[string]*v1.Pod
	claims   map[string]*v1.PersistentVolumeClaim
	revision string
	made     int
	log      []string
}

func newWorld(t *testing.T, set *appsv1.StatefulSet) *world {
	return &world{t: t, set: set, pods: map[string]*v1.Pod{}, claims: map[string]*v1.PersistentVolumeClaim{}, revision: "r1"}
}

func (w *world) plan() Plan {
	in := Input{Set: w.set, Update: Revision{w.revision, &w.set.Spec.Template}, Current: Revision{w.revision, &w.set.Spec.Template}, Now: now}
	if w.set.Status.CurrentRevision != "" {
		in.Current.Name = w.set.Status.CurrentRevision
	}
	for _, pod := range w.pods {
		in.Pods = append(in.Pods, pod)
	}
	in.Claim = func(name string) *v1.PersistentVolumeClaim { return w.claims[name] }
	return Decide(in)
}

func (w *world) step() Plan {
	w.t.Helper()
	p := w.plan()
	if text := p.String(); text != "" {
		w.log = append(w.log, strings.TrimSpace(text))
	}
	for _, c := range p.Claims {
		w.claims[c.Name] = c.PersistentVolumeClaim
	}
	for _, o := range p.Owners {
		o.Claim.OwnerReferences = o.Owners
	}
	for _, pod := range p.Create {
		if _, double := w.pods[pod.Name]; double {
			w.t.Fatalf("second live pod of the name %s:\n%s", pod.Name, strings.Join(w.log, "\n"))
		}
		w.made++
		pod.UID = types.UID(fmt.Sprint("pod", w.made))
		pod.Status.Phase = v1.PodPending
		w.pods[pod.Name] = pod
	}
	for _, pod := range p.Delete {
		at := metav1.NewTime(now)
		pod.DeletionTimestamp = &at
	}
	w.set.Status = p.Status
	return p
}

func run(pod *v1.Pod) {
	pod.Status.Phase = v1.PodRunning
	pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}
}

// follow starts pending and ends terminating pods.
func (w *world) follow() (changed bool) {
	for name, pod := range w.pods {
		switch {
		case pod.DeletionTimestamp != nil:
			delete(w.pods, name)
			changed = true
		case pod.Status.Phase == v1.PodPending:
			run(pod)
			changed = true
		}
	}
	return changed
}

func (w *world) settle() {
	w.t.Helper()
	for range 100 {
		before, status := len(w.log), w.set.Status
		w.step()
		if !w.follow() && len(w.log) == before && fmt.Sprint(status) == fmt.Sprint(w.set.Status) {
			return
		}
	}
	w.t.Fatalf("does not settle:\n%s", strings.Join(w.log, "\n"))
}

func (w *world) expect(lines ...string) {
	w.t.Helper()
	if got := strings.Join(w.log, "\n"); got != strings.Join(lines, "\n") {
		w.t.Errorf("steps:\n%s\nwant:\n%s", got, strings.Join(lines, "\n"))
	}
	w.log = nil
}

func TestOrderedGrowthWaitsForEachPod(t *testing.T) {
	w := newWorld(t, stateful(3))
	w.step()
	for range 3 { // db-0 is not ready yet
		w.step()
	}
	w.expect("create db-0 at r1")
	w.follow()
	w.settle()
	w.expect("create db-1 at r1", "create db-2 at r1")
	if s := w.set.Status; s.ReadyReplicas != 3 || s.CurrentRevision != "r1" || s.UpdatedReplicas != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestOrderedShrinkGoesFromTheTop(t *testing.T) {
	w := newWorld(t, stateful(3))
	w.settle()
	w.log = nil
	w.set.Spec.Replicas = ptr.To[int32](1)
	w.step()
	w.step() // db-2 still terminates
	w.expect("delete db-2")
	w.follow()
	w.settle()
	w.expect("delete db-1")
	if len(w.pods) != 1 || w.pods["db-0"] == nil {
		t.Errorf("pods %v", w.pods)
	}
}

func TestShrinkWaitsForASickPodBelow(t *testing.T) {
	w := newWorld(t, stateful(3))
	w.settle()
	w.log = nil
	w.pods["db-0"].Status.Conditions = nil
	w.set.Spec.Replicas = ptr.To[int32](1)
	w.step()
	w.expect()
}

func TestParallelDoesAllAtOnce(t *testing.T) {
	set := stateful(3)
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5}
	w := newWorld(t, set)
	w.step()
	w.expect("create db-5 at r1\ncreate db-6 at r1\ncreate db-7 at r1")
	w.follow()
	set.Spec.Replicas = ptr.To[int32](1)
	w.step()
	w.expect("delete db-7\ndelete db-6")
}

func TestRollingUpdateGoesDownToThePartition(t *testing.T) {
	set := stateful(4)
	w := newWorld(t, set)
	w.settle()
	w.log = nil
	set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](2)
	w.revision = "r2"
	w.settle()
	w.expect("delete db-3", "create db-3 at r2", "delete db-2", "create db-2 at r2")
	if s := set.Status; s.CurrentRevision != "r1" || s.UpdateRevision != "r2" || s.CurrentReplicas != 2 || s.UpdatedReplicas != 2 {
		t.Errorf("status %+v", s)
	}
	delete(w.pods, "db-0")
	delete(w.pods, "db-3")
	w.settle()
	w.expect("create db-0 at r1", "create db-3 at r2") // each comes back at its revision
	set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](0)
	w.settle()
	if s := set.Status; s.CurrentRevision != "r2" || s.CurrentReplicas != 4 {
		t.Errorf("status at the end %+v", s)
	}
}

func TestRollingUpdateWaitsForTheUpdatedPod(t *testing.T) {
	w := newWorld(t, stateful(3))
	w.settle()
	w.log = nil
	w.revision = "r2"
	w.step()
	w.follow()
	w.step()
	w.step() // db-2 is back, and pending
	w.step()
	w.expect("delete db-2", "create db-2 at r2")
}

func TestMaxUnavailableUpdatesSeveral(t *testing.T) {
	set := stateful(5)
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(2))
	w := newWorld(t, set)
	w.settle()
	w.log = nil
	w.pods["db-1"].Status.Conditions = nil // one is down already, and old: replacing it costs nothing
	w.revision = "r2"
	w.step()
	w.expect("delete db-4\ndelete db-1")
}

func TestOnDeleteWaitsForTheUser(t *testing.T) {
	set := stateful(2)
	set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	w := newWorld(t, set)
	w.settle()
	w.log = nil
	w.revision = "r2"
	w.settle()
	w.expect()
	delete(w.pods, "db-1")
	w.settle()
	w.expect("create db-1 at r2")
}

func TestAnEndedPodIsReplacedUnderItsName(t *testing.T) {
	w := newWorld(t, stateful(1))
	w.settle()
	w.log = nil
	w.pods["db-0"].Status.Phase = v1.PodFailed
	w.step()
	w.step()
	w.step() // it is terminating: nothing may be created under its name
	w.expect("delete db-0")
	w.follow()
	w.settle()
	w.expect("create db-0 at r1")
}

func TestIdentity(t *testing.T) {
	set := stateful(1)
	set.Spec.VolumeClaimTemplates = []v1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	set.Spec.Template.Spec.Volumes = []v1.Volume{{Name: "data"}, {Name: "tmp"}}
	pod := newPod(set, Revision{"r1", &set.Spec.Template}, 7)
	if pod.Name != "db-7" || pod.Spec.Hostname != "db-7" || pod.Spec.Subdomain != "db" ||
		pod.Labels[appsv1.StatefulSetPodNameLabel] != "db-7" || pod.Labels[appsv1.PodIndexLabel] != "7" || pod.Labels[appsv1.ControllerRevisionHashLabelKey] != "r1" {
		t.Errorf("pod %+v", pod.ObjectMeta)
	}
	if len(pod.Spec.Volumes) != 2 || pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "data-db-7" || pod.Spec.Volumes[1].Name != "tmp" {
		t.Errorf("volumes %+v", pod.Spec.Volumes)
	}
	for name, want := range map[string]int{"db-0": 0, "db-12": 12, "db": -1, "db-01": -1, "a-b-3": 3, "db-99999999999": -1} {
		if _, got := ordinalOf(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}); got != want {
			t.Errorf("ordinal of %s: %d, want %d", name, got, want)
		}
	}
}

func TestClaimsFollowTheRetentionPolicy(t *testing.T) {
	const retain, remove = appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	for _, c := range []struct {
		deleted, scaled appsv1.PersistentVolumeClaimRetentionPolicyType
		kept, condemned string // owner of the claims of db-0 and of db-1, which is scaled away
	}{
		{retain, retain, "", ""}, {remove, retain, "StatefulSet", "StatefulSet"}, {retain, remove, "", "Pod"}, {remove, remove, "StatefulSet", "Pod"},
	} {
		set := stateful(2)
		set.Spec.VolumeClaimTemplates = []v1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		w := newWorld(t, set)
		set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: c.deleted, WhenScaled: c.scaled}
		w.settle()
		set.Spec.Replicas = ptr.To[int32](1)
		w.settle()
		owner := func(claim string) string {
			if refs := w.claims[claim].OwnerReferences; len(refs) > 0 {
				return refs[0].Kind
			}
			return ""
		}
		if owner("data-db-0") != c.kept || owner("data-db-1") != c.condemned {
			t.Errorf("%s, %s: owners %q and %q, want %q and %q", c.deleted, c.scaled, owner("data-db-0"), owner("data-db-1"), c.kept, c.condemned)
		}
	}
}

func TestAPodWaitsForItsOldClaimToGo(t *testing.T) {
	set := stateful(1)
	set.Spec.VolumeClaimTemplates = []v1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	w := newWorld(t, set)
	w.claims["data-db-0"] = &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-db-0", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "Pod", Name: "db-0", UID: "earlier"},
	}}}
	if p := w.step(); len(p.Create) != 0 || p.Blocked == nil {
		t.Fatalf("plan %q: the pod would lose its claim to the garbage collector", p)
	}
	delete(w.claims, "data-db-0")
	w.settle()
	if len(w.pods) != 1 {
		t.Error("no pod after the old claim was gone")
	}
}

// Random histories: never two pods of one name (see step), and with ordered management at most one pod is not available because
// of a plan.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		set := stateful(random.Int32N(6))
		if random.IntN(2) == 0 {
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		}
		w := newWorld(t, set)
		for i := range 80 {
			switch random.IntN(8) {
			case 0:
				set.Spec.Replicas = ptr.To(random.Int32N(6))
			case 1:
				w.revision = fmt.Sprint("r", i)
			case 2:
				for _, pod := range w.pods {
					pod.Status.Phase = v1.PodFailed
					break
				}
			case 3, 4, 5:
				w.follow()
			}
			w.step()
		}
		w.settle()
		if len(w.pods) != int(*set.Spec.Replicas) {
			t.Fatalf("seed %d: %d pods, want %d\n%s", seed, len(w.pods), *set.Spec.Replicas, strings.Join(w.log, "\n"))
		}
		for name, pod := range w.pods {
			if revisionOf(pod) != w.revision {
				t.Fatalf("seed %d: %s has revision %s, want %s", seed, name, revisionOf(pod), w.revision)
			}
		}
	}
}
