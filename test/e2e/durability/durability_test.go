package durability

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/test/e2e/daemons"
)

var (
	writes  = flag.Int("writes", 2000, "acknowledged writes")
	kills   = flag.Int("kills", 0, "how often etcd or the API server is killed; one a 1,000 writes, if 0, but 20 at most")
	seed    = flag.Int64("seed", 0, "of the moments of the kills and the keys; the clock's, if 0")
	clients = flag.Int("clients", 12, "clients that write and read at once")
)

const namespace = "default"

// store makes the writes and reads of a client, and notes them.
type store struct {
	kubernetes.Interface
	history *history
	acked   *atomic.Int64
	mu      *sync.Mutex
	written map[uint64]string // the value of each acknowledged write, by resource version
}

func name(key int) string { return fmt.Sprintf("r%d", key) }

// put sets the key's value, without regard to the one it has.
func (s *store) put(ctx context.Context, client, key int, value string) {
	patch := fmt.Appendf(nil, `{"data":{"v":%q}}`, value)
	called := s.history.now()
	got, err := s.CoreV1().ConfigMaps(namespace).Patch(ctx, name(key), types.MergePatchType, patch, metav1.PatchOptions{})
	if errors.Is(err, syscall.ECONNREFUSED) {
		return // nobody took it
	}
	s.history.add(client, operation{key: key, write: true, value: value}, called, result{unknown: err != nil})
	if err == nil {
		s.acked.Add(1)
		s.mu.Lock()
		s.written[number(got.ResourceVersion)] = value
		s.mu.Unlock()
	}
}

func (s *store) get(ctx context.Context, client, key int) error {
	called := s.history.now()
	got, err := s.CoreV1().ConfigMaps(namespace).Get(ctx, name(key), metav1.GetOptions{})
	if err == nil {
		s.history.add(client, operation{key: key}, called, result{value: got.Data["v"]})
	}
	return err
}

// TestAcknowledgedWritesSurvive kills etcd and the API server in turn while clients write.
func TestAcknowledgedWritesSurvive(t *testing.T) {
	if *seed == 0 {
		*seed = time.Now().UnixNano()
	}
	times := *kills
	if times == 0 {
		times = min(20, max(2, *writes/1000))
	}
	t.Logf("seed %d: %d writes, %d kills", *seed, *writes, times)
	p := newPlane(t)
	keys := max(20, *writes/200)
	s := &store{history: &history{began: time.Now()}, acked: &atomic.Int64{}, mu: &sync.Mutex{}, written: map[uint64]string{}}
	s.Interface = p.client()
	for key := range keys {
		if _, err := s.CoreV1().ConfigMaps(namespace).Create(t.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name(key)}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w := &watcher{client: p.client(), namespace: namespace, seen: map[uint64]bool{}}
	watching, stop := context.WithCancel(t.Context())
	var followers, work sync.WaitGroup
	defer func() { stop(); followers.Wait() }()
	w.list(watching)
	from := w.last
	followers.Go(func() { w.run(watching) })

	for client := range *clients {
		mine := *s
		mine.Interface = p.client()
		random := rand.New(rand.NewSource(*seed + int64(client)))
		work.Go(func() {
			for n := 0; s.acked.Load() < int64(*writes) && t.Context().Err() == nil; n++ {
				key := random.Intn(keys)
				mine.put(t.Context(), client, key, fmt.Sprintf("%d.%d", client, n))
				if n%4 == 0 {
					_ = mine.get(t.Context(), client, key) // a read that fails says nothing
				}
			}
		})
	}
	random := rand.New(rand.NewSource(*seed))
	for k := range times {
		due := int64(*writes) * int64(k+1) / int64(times+1)
		daemons.Eventually(t, fmt.Sprintf("%d acknowledged writes", due), func() (string, bool) { n := s.acked.Load(); return fmt.Sprint(n), n >= due })
		time.Sleep(time.Duration(random.Intn(20)) * time.Millisecond) // at any moment of what the server does
		p.kill9([]string{"etcd", "kube-apiserver"}[k%2])
		p.awaitReady()
	}
	work.Wait()
	for key := range keys {
		if err := s.get(t.Context(), *clients, key); err != nil {
			t.Fatalf("the last read of %s: %v", name(key), err)
		}
	}
	s.check(t, w, from)
}

// check holds what the clients and the watcher saw against each other.
func (s *store) check(t *testing.T, w *watcher, from uint64) {
	t.Helper()
	list, err := s.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	daemons.Eventually(t, "the watcher to see all", func() (string, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range list.Items {
			if w.state[c.Name] != c.Data["v"] {
				return fmt.Sprintf("%s is %q, watched as %q", c.Name, c.Data["v"], w.state[c.Name]), false
			}
		}
		return "", true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fault := range w.faults {
		t.Error(fault)
	}
	lost := 0
	for version, value := range s.written {
		if w.missed(version, from) {
			lost++
			if lost <= 5 {
				t.Errorf("the write of %q at %d was acknowledged, and no watch told of it", value, version)
			}
		}
	}
	t.Logf("%d operations, %d acknowledged writes, %d broken watches, %d lists in their stead, %d writes not watched", len(s.history.list), s.acked.Load(), w.broken, len(w.gaps), lost)
	if verdict := porcupine.CheckOperationsTimeout(register, s.history.decided(), 5*time.Minute); verdict != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", verdict)
	}
}
