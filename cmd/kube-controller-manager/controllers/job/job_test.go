package job

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"context"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestIndexes(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "1": "1", "0-2": "0-2", "0,1": "0,1", "1,2,3,7": "1-3,7", "5-9,1": "1,5-9", "0-100": "0-19", "25": "", "x,3": "3", "4-2,6": "6", "1-3,2-5": "1-5",
	} {
		if got := parseIndexes(text, 20).String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	set := parseIndexes("1-3,7", 20).with(5, 4, 9)
	if set.String() != "1-5,7,9" || set.total() != 7 || !set.has(4) || set.has(6) || set.overlap(parseIndexes("0-4,9-12", 20)) != 5 {
		t.Errorf("set %q, total %d", set, set.total())
	}
}

func FuzzIndexes(f *testing.F) {
	f.Add("1,3-5,7", uint8(3))
	f.Fuzz(func(t *testing.T, text string, more uint8) {
		const limit = 300
		set := parseIndexes(text, limit)
		again := parseIndexes(set.String(), limit)
		if !slices.Equal(set, again) {
			t.Fatalf("%q reads as %v and again as %v", text, set, again)
		}
		if n := set.with(int(more)).total(); n != set.total() && n != set.total()+1 || !set.with(int(more)).has(int(more)) {
			t.Fatalf("%v with %d has %d indexes", set, more, n)
		}
	})
}

func TestDelay(t *testing.T) {
	for n, want := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second, 10 * time.Minute, 10 * time.Minute} {
		if got := delay(n); got != want {
			t.Errorf("after %d failures %v, want %v", n, got, want)
		}
	}
	if delay(1000) != maxDelay {
		t.Error("the delay overflows")
	}
}

func TestJudge(t *testing.T) {
	policy := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{ContainerName: ptr.To("main"), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}}},
		{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: v1.DisruptionTarget, Status: v1.ConditionTrue}}},
		{Action: batchv1.PodFailurePolicyActionFailIndex, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn, Values: []int32{1, 2}}},
	}}
	exit := func(name string, code int32) *v1.Pod {
		return &v1.Pod{Status: v1.PodStatus{ContainerStatuses: []v1.ContainerStatus{{Name: name, State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code}}}}}}
	}
	disrupted := exit("main", 1)
	disrupted.Status.Conditions = []v1.PodCondition{{Type: v1.DisruptionTarget, Status: v1.ConditionTrue}}
	for _, c := range []struct {
		pod  *v1.Pod
		want batchv1.PodFailurePolicyAction
	}{
		{exit("main", 42), batchv1.PodFailurePolicyActionFailJob}, {exit("other", 42), batchv1.PodFailurePolicyActionFailIndex},
		{disrupted, batchv1.PodFailurePolicyActionIgnore}, {exit("main", 1), batchv1.PodFailurePolicyActionCount}, {exit("main", 0), batchv1.PodFailurePolicyActionCount},
	} {
		if got := judge(policy, c.pod); got.action != c.want {
			t.Errorf("%v: %s, want %s", c.pod.Status, got.action, c.want)
		}
	}
}

// stage is a Job controller over a lab.
type stage struct {
	*testing.T
	*lab.Lab
	stop func()
}

func begin(t *testing.T, l *lab.Lab) *stage {
	t.Helper()
	c, err := New(l.Informers.Batch().V1().Jobs(), l.Informers.Core().V1().Pods(), l.Client, l.Events, Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.Informers.StartWithContext(ctx)
	var group sync.WaitGroup
	group.Go(func() { c.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); group.Wait(); l.Informers.Shutdown() })
	t.Cleanup(stop)
	synctest.Wait()
	return &stage{t, l, stop}
}

func (s *stage) create(edit func(*batchv1.JobSpec)) {
	s.Helper()
	labels := map[string]string{"job": "j"}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}, Spec: batchv1.JobSpec{
		Completions: ptr.To[int32](1), Parallelism: ptr.To[int32](1), BackoffLimit: ptr.To[int32](6), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1.PodSpec{RestartPolicy: v1.RestartPolicyNever, Containers: []v1.Container{{Name: "c"}}}},
	}}
	edit(&job.Spec)
	if _, err := s.Client.BatchV1().Jobs("default").Create(s.Context(), job, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) job() *batchv1.Job {
	s.Helper()
	job, err := s.Client.BatchV1().Jobs("default").Get(s.Context(), "j", metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return job
}

func (s *stage) edit(change func(*batchv1.JobSpec)) {
	job := s.job()
	change(&job.Spec)
	if _, err := s.Client.BatchV1().Jobs("default").Update(s.Context(), job, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
}

// live returns pods that have not ended, by name.
func (s *stage) live() []*v1.Pod {
	var list []*v1.Pod
	for _, pod := range s.Pods() {
		if !ended(pod) && pod.DeletionTimestamp == nil {
			list = append(list, pod)
		}
	}
	slices.SortFunc(list, func(a, b *v1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *stage) end(code int32, choose func(*v1.Pod) bool) {
	s.Helper()
	for _, pod := range s.live() {
		if choose == nil || choose(pod) {
			s.SetPod(s.T, pod, lab.Ended(code))
		}
	}
	synctest.Wait()
}

func (s *stage) condition() (batchv1.JobConditionType, string) {
	for _, c := range s.job().Status.Conditions {
		if c.Status == v1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c.Type, c.Reason
		}
	}
	return "", ""
}

func (s *stage) expect(t batchv1.JobConditionType, reason string) {
	s.Helper()
	if gotType, gotReason := s.condition(); gotType != t || gotReason != reason {
		s.Fatalf("Job is %q for %q, want %q for %q; status %+v", gotType, gotReason, t, reason, s.job().Status)
	}
	for _, pod := range s.Pods() {
		if t != "" && tracked(pod) {
			s.Fatalf("pod %s of a finished Job still has its finalizer", pod.Name)
		}
	}
}

func TestCompletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) { spec.Completions, spec.Parallelism = ptr.To[int32](5), ptr.To[int32](2) })
		for _, want := range []int{2, 2, 1} {
			if got := len(s.live()); got != want {
				t.Fatalf("%d pods at once, want %d", got, want)
			}
			s.end(0, nil)
		}
		s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
		if status := s.job().Status; status.Succeeded != 5 || status.CompletionTime == nil || s.Count("create pods") != 5 {
			t.Fatalf("status %+v, %d pods created", status, s.Count("create pods"))
		}
	})
}

func TestWorkQueueEndsWithItsFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) { spec.Completions, spec.Parallelism = nil, ptr.To[int32](3) })
		first := s.live()[0].Name
		s.end(0, func(p *v1.Pod) bool { return p.Name == first })
		if len(s.live()) != 2 {
			t.Fatalf("%d pods left, want the 2 others to go on", len(s.live()))
		}
		s.end(0, nil)
		s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
	})
}

func TestBackOffIsKeptOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		s := begin(t, l)
		s.create(func(spec *batchv1.JobSpec) {})
		s.end(1, nil) // retry after 10 s
		time.Sleep(11 * time.Second)
		synctest.Wait()
		s.end(1, nil) // retry after 20 s
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if len(s.live()) != 0 {
			t.Fatal("retried before the back-off of 20 s was over")
		}
		s.stop()
		second := begin(t, l.Restart())
		if len(second.live()) != 0 {
			t.Fatal("a restarted controller forgot the back-off")
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if len(second.live()) != 1 {
			t.Fatal("no retry after the back-off")
		}
	})
}

func TestBackOffLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) { spec.BackoffLimit = ptr.To[int32](2) })
		for range 3 {
			s.end(1, nil)
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		s.expect(batchv1.JobFailed, batchv1.JobReasonBackoffLimitExceeded)
		if s.job().Status.Failed != 3 {
			t.Fatalf("status %+v", s.job().Status)
		}
	})
}

func TestIndexed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {
			spec.Completions, spec.Parallelism, spec.CompletionMode = ptr.To[int32](4), ptr.To[int32](3), ptr.To(batchv1.IndexedCompletion)
		})
		pod := s.live()[1]
		if pod.Annotations[batchv1.JobCompletionIndexAnnotation] != "1" || pod.Labels[batchv1.JobCompletionIndexAnnotation] != "1" ||
			pod.Spec.Hostname != "j-1" || pod.Spec.Containers[0].Env[0].Name != completionIndexEnv {
			t.Fatalf("pod %+v", pod)
		}
		s.end(0, func(p *v1.Pod) bool { return indexOf(p) != 1 })
		if got := s.job().Status.CompletedIndexes; got != "0,2" {
			t.Fatalf("completed %q, want 0,2", got)
		}
		s.end(0, nil)
		s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
		if s.job().Status.CompletedIndexes != "0-3" {
			t.Fatalf("status %+v", s.job().Status)
		}
	})
}

func TestBackOffLimitPerIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {
			spec.Completions, spec.Parallelism, spec.CompletionMode = ptr.To[int32](3), ptr.To[int32](3), ptr.To(batchv1.IndexedCompletion)
			spec.BackoffLimit, spec.BackoffLimitPerIndex = ptr.To[int32](1<<31-1), ptr.To[int32](1)
		})
		for range 2 {
			s.end(1, func(p *v1.Pod) bool { return indexOf(p) == 1 })
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if got := ptr.Deref(s.job().Status.FailedIndexes, ""); got != "1" {
			t.Fatalf("failed indexes %q after two failures, want 1; pods %v", got, s.Pods())
		}
		s.end(0, nil)
		s.expect(batchv1.JobFailed, batchv1.JobReasonFailedIndexes)
		if status := s.job().Status; status.CompletedIndexes != "0,2" || status.Failed != 2 {
			t.Fatalf("status %+v", status)
		}
	})
}

func TestFailurePolicyEndsTheJobAndItsOtherPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {
			spec.Completions, spec.Parallelism = ptr.To[int32](3), ptr.To[int32](3)
			spec.PodReplacementPolicy = ptr.To(batchv1.Failed)
			spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}},
			}}}
		})
		s.RunAll(t)
		synctest.Wait()
		first := s.live()[0].Name
		s.end(42, func(p *v1.Pod) bool { return p.Name == first })
		s.expect("", "") // the other two still stop
		s.RunAll(t)
		synctest.Wait()
		s.expect(batchv1.JobFailed, batchv1.JobReasonPodFailurePolicy)
	})
}

func TestIgnoredFailuresDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {
			spec.BackoffLimit = ptr.To[int32](0)
			spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action: batchv1.PodFailurePolicyActionIgnore, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{7}},
			}}}
		})
		s.end(7, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.expect("", "")
		s.end(0, nil)
		s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
		if s.job().Status.Failed != 0 {
			t.Fatalf("status %+v", s.job().Status)
		}
	})
}

func TestSuccessPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {
			spec.Completions, spec.Parallelism, spec.CompletionMode = ptr.To[int32](4), ptr.To[int32](4), ptr.To(batchv1.IndexedCompletion)
			spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: ptr.To("0,2-3"), SucceededCount: ptr.To[int32](1)}}}
		})
		s.RunAll(t)
		synctest.Wait()
		s.end(0, func(p *v1.Pod) bool { return indexOf(p) == 2 })
		s.RunAll(t)
		synctest.Wait()
		s.expect(batchv1.JobComplete, batchv1.JobReasonSuccessPolicy)
		if s.job().Status.Succeeded != 1 {
			t.Fatalf("status %+v", s.job().Status)
		}
	})
}

func TestSuspendAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) { spec.Suspend = ptr.To(true) })
		if len(s.Pods()) != 0 || s.job().Status.StartTime != nil {
			t.Fatal("a suspended Job started")
		}
		s.edit(func(spec *batchv1.JobSpec) { spec.Suspend = ptr.To(false) })
		s.RunAll(t)
		synctest.Wait()
		if len(s.live()) != 1 {
			t.Fatal("a resumed Job did not start")
		}
		s.edit(func(spec *batchv1.JobSpec) { spec.Suspend = ptr.To(true) })
		s.RunAll(t)
		synctest.Wait()
		if status := s.job().Status; len(s.live()) != 0 || status.Failed != 0 || status.Active != 0 {
			t.Fatalf("status %+v after the suspension: its pods must not count as failed", status)
		} else if status.StartTime != nil {
			t.Errorf("a suspended Job has been running since %v", status.StartTime)
		}
		s.edit(func(spec *batchv1.JobSpec) { spec.Suspend = ptr.To(false) })
		s.end(0, nil)
		s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
		events := strings.Join(s.Recorded(), "\n")
		for _, want := range []string{"Suspended", "Resumed", "Completed"} {
			if !strings.Contains(events, want) {
				t.Errorf("no event %s in:\n%s", want, events)
			}
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) { spec.ActiveDeadlineSeconds = ptr.To[int64](30) })
		s.RunAll(t)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if len(s.live()) != 1 {
			t.Fatal("stopped before its deadline")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.RunAll(t)
		synctest.Wait()
		s.expect(batchv1.JobFailed, batchv1.JobReasonDeadlineExceeded)
	})
}

func TestManagedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) { spec.ManagedBy = ptr.To("example.com/queue") })
		if len(s.Pods()) != 0 {
			t.Fatal("pods for a Job of another controller")
		}
	})
}

func TestPodsOfADeletedJobLoseTheirFinalizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {})
		if err := s.Client.BatchV1().Jobs("default").Delete(t.Context(), "j", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, pod := range s.Pods() {
			if tracked(pod) {
				t.Fatalf("pod %s is stuck", pod.Name)
			}
		}
	})
}

// Random histories with lagging caches, refused writes and restarts in between: every pod is counted once and no more than
// parallelism run at once.
func TestEveryPodIsCountedOnce(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 3))
				l := lab.New(t)
				refuse := false
				l.Fail = func(_, _, _ string, _ runtime.Object) error {
					if refuse && random.IntN(3) == 0 {
						return fmt.Errorf("a crash in between")
					}
					return nil
				}
				s := begin(t, l)
				indexedJob := seed%2 == 0
				s.create(func(spec *batchv1.JobSpec) {
					spec.Completions, spec.Parallelism, spec.BackoffLimit = ptr.To[int32](8), ptr.To[int32](3), ptr.To[int32](1000)
					if indexedJob {
						spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
					}
				})
				succeeded, failures := int32(0), int32(0)
				for range 400 {
					refuse = false
					if t, _ := s.condition(); t != "" {
						break
					}
					if n := len(s.live()); n > 3 {
						t.Fatalf("%d pods run at once, want 3 at most", n)
					}
					switch live := s.live(); {
					case len(live) > 0 && random.IntN(2) == 0:
						code := int32(random.IntN(2))
						s.SetPod(t, live[random.IntN(len(live))], lab.Ended(code))
						if code == 0 {
							succeeded++
						} else {
							failures++
						}
					case random.IntN(6) == 0:
						l.Freeze("pods")
					case random.IntN(6) == 0:
						l.Freeze("jobs")
					case random.IntN(12) == 0:
						s.stop()
						l.Thaw()
						l = l.Restart()
						s = begin(t, l)
					case random.IntN(2) == 0:
						l.Thaw()
					}
					refuse = true
					time.Sleep(time.Duration(random.IntN(30)) * time.Second)
					synctest.Wait()
				}
				refuse = false
				l.Thaw()
				time.Sleep(time.Hour)
				synctest.Wait()
				s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
				if status := s.job().Status; status.Succeeded != succeeded || status.Failed != failures {
					t.Fatalf("counted %d succeeded and %d failed, there were %d and %d", status.Succeeded, status.Failed, succeeded, failures)
				}
			})
		})
	}
}

func TestAPodThatWasHalfDroppedIsDroppedAltogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		s := begin(t, l)
		s.create(func(*batchv1.JobSpec) {})
		half := s.live()[0]
		s.stop() // after it took the finalizer away, and before it deleted the pod
		half.Finalizers = nil
		if _, err := l.Client.CoreV1().Pods("default").Update(t.Context(), half, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		s = begin(t, l.Restart())
		if live := s.live(); len(live) != 1 || live[0].UID == half.UID || !tracked(live[0]) {
			t.Fatalf("live %v; want one pod in the place of %s, whose end nobody would count", live, half.Name)
		}
		s.end(0, nil)
		s.expect(batchv1.JobComplete, batchv1.JobReasonCompletionsReached)
	})
}

func TestAPodThatEndedUnseenIsCountedThoughItsJobIsSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(*batchv1.JobSpec) {})
		s.Freeze("pods")
		s.end(0, nil)
		s.edit(func(spec *batchv1.JobSpec) { spec.Suspend = ptr.To(true) })
		time.Sleep(time.Minute)
		s.Thaw()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if status := s.job().Status; status.Succeeded != 1 {
			t.Fatalf("status %+v; want the success counted that the cache did not have", status)
		}
	})
}

// tenAndOne is an Indexed Job whose success policy is met by its pod of index 10, while ten others run.
func tenAndOne() Input {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j", UID: "j"}, Spec: batchv1.JobSpec{
		Completions: ptr.To[int32](11), Parallelism: ptr.To[int32](11), BackoffLimit: ptr.To[int32](6), CompletionMode: ptr.To(batchv1.IndexedCompletion),
		SuccessPolicy: &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: ptr.To("10")}}},
	}}
	in := Input{Job: job, Now: time.Unix(1000, 0)}
	for i := range 11 {
		pod := newPod(job, slot{index: i})
		pod.Name = fmt.Sprint("p", i)
		pod.UID = types.UID(pod.Name)
		lab.Running("node")(pod)
		if i == 10 {
			lab.Ended(0)(pod)
		}
		in.Pods = append(in.Pods, pod)
	}
	return in
}

func TestPodsThatAJobEndsAreNeitherReadyNorFailures(t *testing.T) {
	in := tenAndOne()
	for step, want := range []struct{ active, ready, terminating, kills int }{{10, 10, 0, 0}, {0, 0, 10, 10}, {0, 0, 10, 0}} {
		plan := Decide(in)
		s := plan.Status
		if int(s.Active) != want.active || int(*s.Ready) != want.ready || int(*s.Terminating) != want.terminating || len(plan.Kill) != want.kills {
			t.Errorf("step %d: %d active, %d ready, %d terminating, %d killed; want %+v", step, s.Active, *s.Ready, *s.Terminating, len(plan.Kill), want)
		}
		if !isTrue(&s, batchv1.JobSuccessCriteriaMet) || isTrue(&s, batchv1.JobFailureTarget) {
			t.Errorf("step %d: conditions %+v", step, s.Conditions)
		}
		in.Job.Status = s
		for _, pod := range plan.Kill {
			pod.DeletionTimestamp = ptr.To(metav1.NewTime(in.Now))
		}
	}
}

func TestADroppedPodIsNotReady(t *testing.T) {
	in := tenAndOne()
	in.Job.Spec.SuccessPolicy, in.Job.Spec.Parallelism = nil, ptr.To[int32](4)
	if s := Decide(in).Status; s.Active != 4 || *s.Ready != 4 {
		t.Errorf("%d active, %d ready after six were dropped", s.Active, *s.Ready)
	}
}

// The server refuses the first write of an outcome, as it does now and then; the pods must not die of it.
func TestAnOutcomeSurvivesALostWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, lab.New(t))
		s.create(func(spec *batchv1.JobSpec) {
			in := tenAndOne().Job.Spec
			spec.Completions, spec.Parallelism, spec.CompletionMode, spec.SuccessPolicy = in.Completions, in.Parallelism, in.CompletionMode, in.SuccessPolicy
		})
		s.RunAll(t)
		synctest.Wait()
		refusals := 3
		s.Fail = func(verb, resource, subresource string, obj runtime.Object) error {
			if job, ok := obj.(*batchv1.Job); ok && subresource == "status" && len(job.Status.Conditions) > 0 && refusals > 0 {
				refusals--
				return errors.New("refused")
			}
			return nil
		}
		s.end(0, func(p *v1.Pod) bool { return indexOf(p) == 10 })
		for range 3 {
			time.Sleep(time.Minute)
			synctest.Wait()
			s.RunAll(t)
			synctest.Wait()
		}
		s.expect(batchv1.JobComplete, batchv1.JobReasonSuccessPolicy)
	})
}
