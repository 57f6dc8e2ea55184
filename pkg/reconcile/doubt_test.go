package reconcile_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/pkg/reconcile"
)

func TestAKeyWaitsForAWriteWhoseAnswerWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{})
		s.source.Add(pod("first", 0)) // version 1
		synctest.Wait()
		before := s.count()
		down := true
		s.loop.Unsure(io.ErrUnexpectedEOF, s.pods, reconcile.Key{Name: "a"}, func(context.Context) (runtime.Object, error) {
			if down {
				return nil, apierrors.NewTooManyRequests("later", 1)
			}
			return &v1.PodList{Items: []v1.Pod{*pod("first", 1), *pod("created", 2)}}, nil // it was carried out
		})
		s.loop.Enqueue(reconcile.Key{Name: "a"})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s.count() != before {
			t.Fatal("reconciled while nobody knows what became of the write")
		}
		down = false
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s.count() != before {
			t.Fatal("reconciled before the cache has the write")
		}
		s.source.Add(pod("created", 0)) // version 2
		time.Sleep(time.Second)
		synctest.Wait()
		if s.count() == before {
			t.Fatal("not reconciled when the cache has the write")
		}
	})
}

func TestAnErrorThatIsNoAnswerLeavesAWriteInDoubt(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{apierrors.NewConflict(pods, "p", nil), true},
		{apierrors.NewForbidden(pods, "p", errors.New("quota")), true},
		{apierrors.NewTooManyRequests("later", 1), true},
		{apierrors.NewTimeoutError("slow", 1), false},
		{apierrors.NewInternalError(errors.New("lost")), false},
		{io.ErrUnexpectedEOF, false},
	} {
		if got := reconcile.Refused(c.err); got != c.want {
			t.Errorf("refused: %v, want %v: %v", got, c.want, c.err)
		}
	}
}
