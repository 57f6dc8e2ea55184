package leadership

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/e2e/daemons"
)

var (
	cycles    = flag.Int("cycles", 12, "how often the leader is stopped and goes on")
	unguarded = flag.Bool("unguarded", false, "also build a controller manager whose writes nothing guards, and show that it is caught")
)

// shortLease lasts for 4 s.
var shortLease = []string{"--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms"}

// TestADeposedLeaderWritesNothing stops the busy leader again and again for about as long as its lease lasts, and lets it go on.
func TestADeposedLeaderWritesNothing(t *testing.T) {
	p := newPlane(t, shortLease...)
	p.keepBusy()
	lost := p.stopAndGo(*cycles)
	late, byUser := deposed(p.events())
	for _, e := range late {
		t.Errorf("%s has done: %s %s/%s of %s/%s, received %s, done %s", e.User.Username, e.Verb, e.ObjectRef.Resource, e.ObjectRef.Subresource,
			e.ObjectRef.Namespace, e.ObjectRef.Name, e.RequestReceivedTimestamp.Format(time.RFC3339Nano), e.StageTimestamp.Format(time.RFC3339Nano))
	}
	writes := 0
	for _, n := range byUser {
		writes += n
	}
	t.Logf("%d cycles, the lead was lost in %d, %d writes by %d leaders, of a deposed one: %d", *cycles, lost, writes, len(byUser), len(late))
	if lost < *cycles/4 || len(byUser) < *cycles/4 || writes < 50**cycles {
		t.Errorf("too little has happened to prove anything")
	}
}

// TestALateWriteIsRefused sends what a leader sends that was away between its own check and the socket.
func TestALateWriteIsRefused(t *testing.T) {
	p := newPlane(t)
	for _, c := range []struct {
		name  string
		until time.Duration
		taken bool
	}{{"in-time", time.Minute, true}, {"late", -time.Millisecond, false}} {
		until := time.Now().Add(c.until).UTC().Format(time.RFC3339Nano)
		core := p.client.CoreV1().RESTClient()
		created := core.Post().SetHeader("Pilotis-Not-After", until).Namespace("default").Resource("configmaps").
			Body(&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.name}}).Do(t.Context()).Error()
		patched := core.Patch(types.MergePatchType).SetHeader("Pilotis-Not-After", until).Resource("namespaces").Name("default").
			Body(fmt.Appendf(nil, `{"metadata":{"labels":{%q:"yes"}}}`, c.name)).Do(t.Context()).Error()
		for verb, err := range map[string]error{"create": created, "patch": patched} {
			if c.taken != (err == nil) || !c.taken && !strings.Contains(err.Error(), "may not be the leader") {
				t.Errorf("%s of a leader until %v: %v", verb, c.until, err)
			}
		}
	}
	maps, err := p.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(maps.Items, func(m v1.ConfigMap) bool { return m.Name == "in-time" }) ||
		slices.ContainsFunc(maps.Items, func(m v1.ConfigMap) bool { return m.Name == "late" }) {
		t.Errorf("there are the ConfigMaps %v", maps.Items)
	}
}

// stopAndGo stops the leader count times, for 2.5 to 6 s, and counts how often it lost the lead by that.
func (p *plane) stopAndGo(count int) (lost int) {
	p.Helper()
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	running := map[string]*daemons.Daemon{}
	started := 0
	for done := 0; done < count; {
		for user, d := range running {
			if over(d) {
				delete(running, user)
			}
		}
		for len(running) < 2 {
			user := fmt.Sprint("manager-", started)
			running[user] = p.candidate(user)
			started++
		}
		identity, user := p.awaitLeader("")
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond) // any moment of its work
		d := running[user]
		if d == nil || d.Signal(syscall.SIGSTOP) != nil {
			continue // it has ended by itself, and its lease runs out
		}
		done++
		time.Sleep(2500*time.Millisecond + time.Duration(random.IntN(3500))*time.Millisecond)
		if err := d.Signal(syscall.SIGCONT); err != nil {
			p.Fatal(err)
		}
		if l := p.leader(); l == nil || *l.Spec.HolderIdentity == identity {
			continue // it was away for less than its lease, or is about to renew it
		}
		lost++
		select {
		case <-d.Ended():
		case <-time.After(10 * time.Second):
			p.Fatalf("%s goes on without the lease:\n%s", user, d.LastLines(10))
		}
	}
	return lost
}

func over(d *daemons.Daemon) bool {
	select {
	case <-d.Ended():
		return true
	default:
		return false
	}
}

// keepBusy scales a Deployment up and down until the test ends, so that the leader writes all the time.
func (p *plane) keepBusy() {
	p.Helper()
	labels := map[string]string{"app": "busy"}
	deployments := p.client.AppsV1().Deployments("default")
	if _, err := deployments.Create(p.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "busy"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Replicas: ptr.To[int32](0), Template: v1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: "example.org/busy"}}},
		}},
	}, metav1.CreateOptions{}); err != nil {
		p.Fatal(err)
	}
	ctx, stop := context.WithCancel(p.Context())
	ended := make(chan struct{})
	p.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		for up := true; ctx.Err() == nil; up = !up {
			patch := `{"spec":{"replicas":0}}`
			if up {
				patch = `{"spec":{"replicas":60}}`
			}
			_, _ = deployments.Patch(ctx, "busy", types.MergePatchType, []byte(patch), metav1.PatchOptions{}) // the next one will do
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
}

// TestTheNextLeaderWorksInTime measures with the default flags until a new namespace has its service account.
func TestTheNextLeaderWorksInTime(t *testing.T) {
	p := newPlane(t)
	running := map[string]*daemons.Daemon{"north": p.candidate("north"), "south": p.candidate("south")}
	for _, c := range []struct {
		how    string
		signal syscall.Signal
		limit  time.Duration
	}{
		{"SIGTERM", syscall.SIGTERM, 2 * time.Second},
		{"SIGKILL", syscall.SIGKILL, 17 * time.Second},
	} {
		identity, user := p.awaitLeader("")
		p.awaitWork(c.how + "-before")
		renewed := p.leader().Spec.RenewTime
		daemons.Eventually(t, "a renewal of the lease, after which it lasts longest", func() (string, bool) {
			now := p.leader().Spec.RenewTime
			return now.String(), now.After(renewed.Time)
		})
		began := time.Now()
		if err := running[user].Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		p.awaitWork(c.how + "-after")
		took := time.Since(began)
		if next, _ := p.awaitLeader(""); next == identity {
			t.Errorf("after %s %s still leads", c.how, identity)
		}
		t.Logf("after %s of the leader the next one works in %v", c.how, took.Round(10*time.Millisecond))
		if took > c.limit {
			t.Errorf("after %s it took %v, the limit is %v", c.how, took, c.limit)
		}
		<-running[user].Ended()
		running[user] = p.candidate(user)
	}
	if late, _ := deposed(p.events()); len(late) > 0 {
		t.Errorf("%d writes of a leader that was none any more, the first: %+v", len(late), late[0])
	}
}
