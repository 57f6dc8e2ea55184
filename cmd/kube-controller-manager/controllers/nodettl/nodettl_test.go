package nodettl

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestTheTimeGrowsWithTheCluster(t *testing.T) {
	at := 0
	for _, c := range []struct{ nodes, seconds int }{
		{1, 0}, {100, 0}, {101, 15}, {95, 15}, {89, 0}, {501, 30}, {30000, 600}, {9000, 600}, {8999, 300}, {3, 0},
	} {
		if at = Step(at, c.nodes); steps[at].seconds != c.seconds {
			t.Errorf("%d nodes: %d seconds, want %d", c.nodes, steps[at].seconds, c.seconds)
		}
	}
}

func TestEveryNodeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		loop := New(l.Informers.Core().V1().Nodes(), l.Client)
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		grow := func(from, to int) {
			for i := from; i < to; i++ {
				if _, err := l.Client.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}}, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		check := func(want string) {
			t.Helper()
			list, err := l.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list.Items {
				if got := n.Annotations["node.alpha.kubernetes.io/ttl"]; got != want {
					t.Fatalf("%d nodes: node %s has %q, want %q", len(list.Items), n.Name, got, want)
				}
			}
		}
		grow(0, 100)
		check("0")
		grow(100, 101)
		check("15")
	})
}
