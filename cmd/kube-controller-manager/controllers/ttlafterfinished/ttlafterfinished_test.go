package ttlafterfinished

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestFinishedJobsGoAfterTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		loop := New(l.Informers.Batch().V1().Jobs(), l.Client, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		create := func(name string, ttl *int32, outcome batchv1.JobConditionType) {
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: batchv1.JobSpec{TTLSecondsAfterFinished: ttl}}
			if outcome != "" {
				job.Status.Conditions = []batchv1.JobCondition{{Type: outcome, Status: v1.ConditionTrue, LastTransitionTime: metav1.Now()}}
			}
			if _, err := l.Client.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		left := func() map[string]bool {
			synctest.Wait()
			list, err := l.Client.BatchV1().Jobs("default").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			for _, job := range list.Items {
				names[job.Name] = true
			}
			return names
		}
		create("now", ptr.To[int32](0), batchv1.JobComplete)
		create("minute", ptr.To[int32](60), batchv1.JobFailed)
		create("running", ptr.To[int32](0), "")
		create("kept", nil, batchv1.JobComplete)
		if got := left(); got["now"] || !got["minute"] || !got["running"] || !got["kept"] {
			t.Fatalf("at once: %v", got)
		}
		time.Sleep(59 * time.Second)
		if got := left(); !got["minute"] {
			t.Fatal("deleted too early")
		}
		time.Sleep(2 * time.Second)
		if got := left(); got["minute"] || !got["running"] || !got["kept"] {
			t.Fatalf("after a minute: %v", got)
		}
	})
}
