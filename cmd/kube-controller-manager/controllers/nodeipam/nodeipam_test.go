package nodeipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func node(name string, ranges ...string) *v1.Node {
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodeSpec{PodCIDRs: ranges}}
	if len(ranges) > 0 {
		n.Spec.PodCIDR = ranges[0]
	}
	return n
}

func run(t *testing.T, l *lab.Lab, reserved string, ranges ...Range) {
	t.Helper()
	var kept []netip.Prefix
	if reserved != "" {
		kept = []netip.Prefix{netip.MustParsePrefix(reserved)}
	}
	c, err := New(ranges, kept, l.Informers.Core().V1().Nodes(), l.Client, l.Events)
	if err != nil {
		t.Fatal(err)
	}
	l.Run(t, c)
}

func of(cidr string, bits int) Range { return Range{netip.MustParsePrefix(cidr), bits} }

// given are the ranges of all nodes: "a 10.0.0.0/24, b …".
func given(t *testing.T, l *lab.Lab) string {
	t.Helper()
	list, err := l.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range list.Items {
		if len(n.Spec.PodCIDRs) > 0 && n.Spec.PodCIDR != n.Spec.PodCIDRs[0] {
			t.Errorf("node %s: podCIDR %s is not the first of %v", n.Name, n.Spec.PodCIDR, n.Spec.PodCIDRs)
		}
		out = append(out, strings.TrimSpace(n.Name+" "+strings.Join(n.Spec.PodCIDRs, "+")))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestNodesGetRanges(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes    []*v1.Node
		reserved string
		ranges   []Range
		want     string
	}{
		"the first free one":               {[]*v1.Node{node("a")}, "", []Range{of("10.244.0.0/16", 24)}, "a 10.244.0.0/24"},
		"one of each family":               {[]*v1.Node{node("a")}, "", []Range{of("10.244.0.0/16", 24), of("fd00:1::/48", 64)}, "a 10.244.0.0/24+fd00:1::/64"},
		"what others have is not given":    {[]*v1.Node{node("z", "10.244.0.0/24"), node("a"), node("y", "10.244.1.0/24")}, "", []Range{of("10.244.0.0/16", 24)}, "a 10.244.2.0/24, y 10.244.1.0/24, z 10.244.0.0/24"},
		"nor a part of what others have":   {[]*v1.Node{node("z", "10.244.0.0/22"), node("a"), node("y", "10.244.4.128/25")}, "", []Range{of("10.244.0.0/16", 24)}, "a 10.244.5.0/24, y 10.244.4.128/25, z 10.244.0.0/22"},
		"nor the range of Services":        {[]*v1.Node{node("a")}, "10.244.0.0/20", []Range{of("10.244.0.0/16", 24)}, "a 10.244.16.0/24"},
		"Services within one part":         {[]*v1.Node{node("a")}, "10.244.0.0/28", []Range{of("10.244.0.0/16", 24)}, "a 10.244.1.0/24"},
		"Services elsewhere":               {[]*v1.Node{node("a")}, "10.96.0.0/12", []Range{of("10.244.0.0/16", 24)}, "a 10.244.0.0/24"},
		"a node keeps what it has":         {[]*v1.Node{node("a", "192.168.0.0/24")}, "", []Range{of("10.244.0.0/16", 24)}, "a 192.168.0.0/24"},
		"the whole range":                  {[]*v1.Node{node("a")}, "", []Range{of("10.244.0.0/24", 24)}, "a 10.244.0.0/24"},
		"the end of the address space":     {[]*v1.Node{node("a", "255.255.255.0/25"), node("b")}, "", []Range{of("255.255.255.0/24", 25)}, "a 255.255.255.0/25, b 255.255.255.128/25"},
		"nothing when everything is taken": {[]*v1.Node{node("a", "10.0.0.0/8"), node("b")}, "", []Range{of("10.244.0.0/16", 24)}, "a 10.0.0.0/8, b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				for _, n := range tt.nodes {
					l.Seed(n)
				}
				run(t, l, tt.reserved, tt.ranges...)
				if got := given(t, l); got != tt.want {
					t.Errorf("%s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

func TestANodeWaitsUntilAnotherGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(node("a", "10.0.0.0/25"), node("b", "10.0.0.128/25"))
		run(t, l, "", of("10.0.0.0/24", 25))
		l.Seed(node("c"))
		synctest.Wait()
		if events := l.Recorded(); len(events) == 0 || events[0] != "Normal CIDRNotAvailable Node c status is now: CIDRNotAvailable" {
			t.Errorf("events %q", events)
		}
		if err := l.Client.CoreV1().Nodes().Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, want := given(t, l), "a 10.0.0.0/25, c 10.0.0.128/25"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestNothingIsGivenTwiceWhileTheCacheLags: many nodes come while no write comes back.
func TestNothingIsGivenTwiceWhileTheCacheLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		for i := range 200 {
			l.Seed(node(fmt.Sprint("n", i)))
		}
		l.Freeze()
		run(t, l, "", of("10.0.0.0/16", 24))
		list, err := l.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{}
		for _, n := range list.Items {
			if other, twice := seen[n.Spec.PodCIDR]; twice || n.Spec.PodCIDR == "" {
				t.Errorf("%s and %s have %q", n.Name, other, n.Spec.PodCIDR)
			}
			seen[n.Spec.PodCIDR] = n.Name
		}
		if got := l.Count("patch nodes"); got != 200 {
			t.Errorf("%d writes for 200 nodes", got)
		}
	})
}

func TestMasksThatDoNotFit(t *testing.T) {
	for _, r := range []Range{of("10.0.0.0/16", 15), of("10.0.0.0/16", 33), of("fd00::/16", 128)} {
		if _, err := newPool(r); err == nil || !strings.Contains(err.Error(), "--node-cidr-mask-size") {
			t.Errorf("%v: error %v", r, err)
		}
	}
}

// TestThePoolAgainstAPlainSearch: whatever comes and goes, the pool gives a part exactly when one is free, and only a free one.
func TestThePoolAgainstAPlainSearch(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		p, err := newPool(of("10.0.0.0/28", 32))
		if err != nil {
			t.Fatal(err)
		}
		var out []netip.Prefix
		free := func() bool {
			for i := range 16 {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
				if !slices.ContainsFunc(out, func(o netip.Prefix) bool { return o.Contains(a) }) {
					return true
				}
			}
			return false
		}
		for range 200 {
			switch random.IntN(5) {
			case 0, 1:
				want := free()
				part, ok := p.take()
				if ok != want {
					t.Fatalf("seed %d: with %v out, take says %v", seed, out, ok)
				}
				if ok && slices.ContainsFunc(out, part.Overlaps) {
					t.Fatalf("seed %d: with %v out, %v is given", seed, out, part)
				}
				if ok {
					out = append(out, part)
				}
			case 2:
				prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(16))}), 29+random.IntN(4)).Masked()
				p.occupy(prefix)
				out = append(out, prefix)
			default:
				if len(out) > 0 {
					i := random.IntN(len(out))
					p.release(out[i])
					out = slices.Delete(out, i, i+1)
				}
			}
		}
	}
}

func BenchmarkTake(b *testing.B) {
	p, err := newPool(of("10.0.0.0/8", 24))
	if err != nil {
		b.Fatal(err)
	}
	for i := range uint64(60000) {
		p.out[i]++
	}
	for b.Loop() {
		part, ok := p.take()
		if !ok {
			b.Fatal("none is free")
		}
		p.release(part)
	}
}
