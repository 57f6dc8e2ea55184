package deployment

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

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func template(image string) v1.PodTemplateSpec {
	return v1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: image}}},
	}
}

func deployment(replicas int32, surge, unavailable string) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "d", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template("v1"),
			ProgressDeadlineSeconds: ptr.To[int32](600), RevisionHistoryLimit: ptr.To[int32](2),
		},
	}
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
		MaxSurge: ptr.To(intstr.Parse(surge)), MaxUnavailable: ptr.To(intstr.Parse(unavailable)),
	}}
	return d
}

// world carries plans out, and plays the ReplicaSet controller: pods become available a step after they are asked for.
type world struct {
	t    *testing.T
	d    *appsv1.Deployment
	sets []*appsv1.ReplicaSet
	now  time.Time
	log  []string
	// broken images never become available.
	broken map[string]bool
	made   int
}

func newWorld(t *testing.T, d *appsv1.Deployment) *world {
	return &world{t: t, d: d, now: epoch, broken: map[string]bool{}}
}

func (w *world) plan() Plan {
	pods := map[types.UID][]*v1.Pod{}
	for _, rs := range w.sets {
		for range rs.Status.Replicas {
			pods[rs.UID] = append(pods[rs.UID], &v1.Pod{Status: v1.PodStatus{Phase: v1.PodRunning}})
		}
	}
	return Decide(Input{Deployment: w.d, Sets: w.sets, Pods: pods, Now: w.now})
}

// step takes one plan, and then lets pods follow. It returns the plan.
func (w *world) step() Plan {
	p := w.plan()
	if text := p.String(); text != "" {
		w.log = append(w.log, strings.TrimSpace(text))
	}
	if p.Create != nil {
		w.made++
		rs := p.Create.DeepCopy()
		rs.UID = types.UID(fmt.Sprint("rs", w.made))
		rs.CreationTimestamp = metav1.NewTime(w.now.Add(time.Duration(w.made) * time.Millisecond))
		w.sets = append(w.sets, rs)
	}
	for _, u := range p.Update {
		for i := range w.sets {
			if w.sets[i].UID == u.Set.UID {
				w.sets[i] = u.Set.DeepCopy()
			}
		}
	}
	for _, gone := range p.Delete {
		for i := range w.sets {
			if w.sets[i].UID == gone.UID {
				w.sets = append(w.sets[:i:i], w.sets[i+1:]...)
				break
			}
		}
	}
	if p.Revision != "" {
		w.d.Annotations = map[string]string{RevisionAnnotation: p.Revision}
	}
	w.d.Status = p.Status
	w.now = w.now.Add(time.Second)
	return p
}

// follow lets the pods follow the sizes of the sets.
func (w *world) follow() {
	for _, rs := range w.sets {
		n := size(rs)
		rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = n, n, n
		if w.broken[rs.Spec.Template.Spec.Containers[0].Image] {
			rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = 0, 0
		}
		rs.Status.ObservedGeneration = rs.Generation
	}
}

// settle runs until nothing is planned any more.
func (w *world) settle() {
	w.t.Helper()
	for range 200 {
		before := len(w.log)
		status := w.d.Status.DeepCopy()
		w.step()
		w.follow()
		if len(w.log) == before && semanticEqual(*status, w.d.Status) {
			return
		}
	}
	w.t.Fatalf("does not settle:\n%s", strings.Join(w.log, "\n"))
}

func (w *world) roll(image string) {
	w.d.Spec.Template = template(image)
	w.d.Generation++
}

func (w *world) sizes() map[string]int32 {
	m := map[string]int32{}
	for _, rs := range w.sets {
		m[rs.Spec.Template.Spec.Containers[0].Image] = size(rs)
	}
	return m
}

func reasonOf(d *appsv1.Deployment, t appsv1.DeploymentConditionType) string {
	if c := condition(d.Status, t); c != nil {
		return c.Reason
	}
	return ""
}

func TestARolloutStepsWithinItsLimits(t *testing.T) {
	w := newWorld(t, deployment(4, "1", "1"))
	w.settle()
	w.log = nil
	w.roll("v2")
	w.settle()
	one, two := w.sets[0].Name, w.sets[1].Name
	want := []string{
		"create " + two + " replicas=1\nrevision 2",
		"scale " + one + " 4 -> 2",
		"scale " + two + " 1 -> 3",
		"scale " + one + " 2 -> 0",
		"scale " + two + " 3 -> 4",
	}
	if got := strings.Join(w.log, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("steps:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if reasonOf(w.d, appsv1.DeploymentProgressing) != reasonNewAvailable || reasonOf(w.d, appsv1.DeploymentAvailable) != "MinimumReplicasAvailable" {
		t.Errorf("conditions %+v", w.d.Status.Conditions)
	}
}

func TestRecreateStopsTheOldBeforeItStartsTheNew(t *testing.T) {
	d := deployment(3, "0", "0")
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	w := newWorld(t, d)
	w.settle()
	w.roll("v2")
	w.step() // scales down, pods still run
	for range 3 {
		if p := w.step(); p.Create != nil {
			t.Fatal("the new set was created while old pods run")
		}
	}
	w.follow()
	if p := w.step(); p.Create == nil || size(p.Create) != 3 {
		t.Fatalf("plan %q after the old pods ended, want the new set with 3", p)
	}
}

func TestRollbackTakesTheOldSetWithANewRevision(t *testing.T) {
	w := newWorld(t, deployment(2, "1", "0"))
	w.settle()
	w.roll("v2")
	w.settle()
	w.roll("v1")
	w.settle()
	if len(w.sets) != 2 || w.made != 2 {
		t.Fatalf("%d sets, %d made; the old one should have been used again", len(w.sets), w.made)
	}
	if a := w.sets[0].Annotations; a[RevisionAnnotation] != "3" || a[RevisionHistoryAnnotation] != "1" {
		t.Errorf("annotations of the set that came back: %v", a)
	}
	if w.d.Annotations[RevisionAnnotation] != "3" {
		t.Errorf("revision of the Deployment: %v", w.d.Annotations)
	}
}

func TestHistoryIsCut(t *testing.T) {
	w := newWorld(t, deployment(1, "1", "0"))
	for i := range 6 {
		w.roll(fmt.Sprint("v", i))
		w.settle()
	}
	if len(w.sets) != 3 {
		t.Errorf("%d sets, want the present one and 2 old ones", len(w.sets))
	}
}

func TestAPausedDeploymentScalesAndDoesNotRoll(t *testing.T) {
	w := newWorld(t, deployment(3, "1", "0"))
	w.settle()
	w.d.Spec.Paused = true
	w.roll("v2")
	w.d.Spec.Replicas = ptr.To[int32](5)
	w.settle()
	if w.made != 1 || w.sizes()["v1"] != 5 {
		t.Fatalf("sizes %v, %d sets made", w.sizes(), w.made)
	}
	if reasonOf(w.d, appsv1.DeploymentProgressing) != reasonPaused {
		t.Errorf("conditions %+v", w.d.Status.Conditions)
	}
	w.d.Spec.Paused = false
	w.settle()
	if w.sizes()["v2"] != 5 || w.sizes()["v1"] != 0 {
		t.Errorf("sizes after the resumption: %v", w.sizes())
	}
}

func TestAStuckRolloutScalesInProportionAndTimesOut(t *testing.T) {
	w := newWorld(t, deployment(10, "3", "2"))
	w.settle()
	w.broken["bad"] = true
	w.roll("bad")
	w.settle()
	if s := w.sizes(); s["v1"] != 8 || s["bad"] != 5 {
		t.Fatalf("stuck at %v, want v1 8 and bad 5", s)
	}
	w.d.Spec.Replicas = ptr.To[int32](15)
	w.d.Generation++
	w.step()
	if s := w.sizes(); s["v1"] != 11 || s["bad"] != 7 {
		t.Errorf("scaled to %v, want v1 11 and bad 7: the mixture of 8 to 5", s)
	}
	w.follow()
	w.settle()
	if p := w.plan(); p.Wake <= 0 || p.Wake > 601*time.Second {
		t.Errorf("wakes after %v, want the rest of the progress deadline", p.Wake)
	}
	w.now = w.now.Add(11 * time.Minute)
	w.step()
	if reasonOf(w.d, appsv1.DeploymentProgressing) != reasonTimedOut {
		t.Errorf("conditions %+v", w.d.Status.Conditions)
	}
}

func TestSickOldPodsGoFirst(t *testing.T) {
	w := newWorld(t, deployment(4, "0", "1"))
	w.settle()
	w.roll("v2")
	w.sets[0].Status.AvailableReplicas = 3
	w.step() // creates the new set with 0
	p := w.step()
	if !strings.Contains(p.String(), "4 -> 3") {
		t.Errorf("plan %q: one sick pod should go, and no healthy one", p)
	}
}

func TestReplicaFailureIsPassedOn(t *testing.T) {
	w := newWorld(t, deployment(1, "1", "0"))
	w.step()
	w.sets[0].Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: v1.ConditionTrue, Reason: "FailedCreate", Message: "quota"}}
	w.step()
	if c := condition(w.d.Status, appsv1.DeploymentReplicaFailure); c == nil || c.Message != "quota" {
		t.Fatalf("conditions %+v", w.d.Status.Conditions)
	}
	w.sets[0].Status.Conditions = nil
	w.step()
	if condition(w.d.Status, appsv1.DeploymentReplicaFailure) != nil {
		t.Errorf("conditions %+v", w.d.Status.Conditions)
	}
}

// Random rollouts, scalings and failures: with healthy images, never fewer pods are available and never more exist than the
// strategy says, and each history ends with the last template at the last size.
func TestRandomRolloutsKeepTheirPromise(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		shares := []string{"0", "1", "2", "25%", "50%", "100%"}
		d := deployment(1+random.Int32N(12), shares[random.IntN(len(shares))], shares[random.IntN(len(shares))])
		w := newWorld(t, d)
		w.settle()
		for range 30 {
			if random.IntN(6) == 0 {
				w.roll(fmt.Sprint("v", random.IntN(5)))
			}
			w.step()
			r := &rollout{Input: Input{Deployment: d}, d: d}
			surge, unavailable := r.limits()
			if n := total(w.sets, size); n > r.wanted()+surge {
				t.Fatalf("seed %d: %d pods asked for, at most %d allowed:\n%s", seed, n, r.wanted()+surge, strings.Join(w.log, "\n"))
			}
			kept := total(w.sets, func(rs *appsv1.ReplicaSet) int32 { return min(size(rs), available(rs)) })
			if kept < r.wanted()-min(unavailable, r.wanted()) {
				t.Fatalf("seed %d: %d available pods kept, at least %d promised:\n%s", seed, kept, r.wanted()-unavailable, strings.Join(w.log, "\n"))
			}
			if random.IntN(2) == 0 {
				w.follow()
			}
		}
		d.Spec.Replicas = ptr.To(random.Int32N(15))
		d.Generation++
		w.settle()
		if got := w.sizes()[d.Spec.Template.Spec.Containers[0].Image]; got != *d.Spec.Replicas || total(w.sets, size) != got {
			t.Fatalf("seed %d: ended with %v, want %d of %s", seed, w.sizes(), *d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Image)
		}
	}
}
