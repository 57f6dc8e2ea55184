package serviceip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/storage"
)

// cell is a storage of one object.
type cell struct {
	storage.Interface
	value corev1.RangeAllocation
}

func (c *cell) Get(_ context.Context, _ string, _ storage.GetOptions, out runtime.Object) error {
	c.value.DeepCopyInto(out.(*corev1.RangeAllocation))
	return nil
}

func (c *cell) GuaranteedUpdate(_ context.Context, _ string, _ runtime.Object, _ bool, _ *storage.Preconditions, update storage.UpdateFunc, _ runtime.Object) error {
	got, _, err := update(c.value.DeepCopy(), storage.ResponseMeta{})
	if err != nil {
		return err
	}
	c.value = *got.(*corev1.RangeAllocation)
	return nil
}

func TestPorts(t *testing.T) {
	ctx := t.Context()
	p := NewPorts(utilnet.PortRange{Base: 30000, Size: 4}, &cell{})
	got, err := p.Allocate(ctx, []int32{0, 30001, 0}, false)
	if err != nil || got[1] != 30001 || got[0] == got[2] || slices.Contains([]int32{got[0], got[2]}, 30001) {
		t.Fatalf("got %v %v", got, err)
	}
	for _, tt := range []struct {
		wanted []int32
		dryRun bool
		want   error
	}{
		{[]int32{30001}, false, ErrPortAllocated},
		{[]int32{30001}, true, ErrPortAllocated},
		{[]int32{29999}, false, ErrPortNotInRange},
		{[]int32{0, 0}, false, ErrFull}, // one is left: all or none
		{[]int32{0}, true, nil},
		{[]int32{0}, false, nil},
		{[]int32{0}, false, ErrFull},
	} {
		if _, err := p.Allocate(ctx, tt.wanted, tt.dryRun); !errors.Is(err, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.wanted, err, tt.want)
		}
	}
	if err := p.Release(ctx, []int32{30001, 80}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Allocate(ctx, []int32{30001}, false); err != nil {
		t.Errorf("a released port: %v", err)
	}
}

// Who asks for several ports hears which of them stands in the way.
func TestPortError(t *testing.T) {
	p := NewPorts(utilnet.PortRange{Base: 30000, Size: 4}, &cell{})
	if _, err := p.Allocate(t.Context(), []int32{30002, 30003}, false); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		wanted []int32
		want   int
	}{{[]int32{0, 30000, 30003}, 2}, {[]int32{30000, 99, 30002}, 1}, {[]int32{0, 30000, 0, 0}, 2}} {
		_, err := p.Allocate(t.Context(), tt.wanted, false)
		if which, ok := errors.AsType[*PortError](err); !ok || which.Index != tt.want {
			t.Errorf("%v: got %v, want a fault of %d", tt.wanted, err, tt.want)
		}
	}
}

// A repair books what is used, and frees what is not used the second time that it sees it: the first time its service
// may be in the making.
func TestRepairPorts(t *testing.T) {
	ctx := t.Context()
	p := NewPorts(utilnet.PortRange{Base: 30000, Size: 4}, &cell{})
	if _, err := p.Allocate(ctx, []int32{30001, 30002}, false); err != nil {
		t.Fatal(err)
	}
	used := []int32{30000, 0, 99}
	repair := func(former []int32) []int32 {
		left, err := p.Repair(ctx, former, func(context.Context) ([]int32, error) { return used, nil })
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	left := repair(nil)
	if !slices.Equal(left, []int32{30001, 30002}) {
		t.Errorf("left: %v", left)
	}
	for _, port := range []int32{30000, 30001} {
		if _, err := p.Allocate(ctx, []int32{port}, false); !errors.Is(err, ErrPortAllocated) {
			t.Errorf("%d after the first repair: %v", port, err)
		}
	}
	used = append(used, 30001) // its service is there by now
	if left = repair(left); len(left) > 0 {
		t.Errorf("left by the second repair: %v", left)
	}
	if got, err := p.Allocate(ctx, []int32{0, 0}, false); err != nil || slices.Contains(got, 30000) || slices.Contains(got, 30001) {
		t.Errorf("after both repairs: %v %v", got, err)
	}
}

// The books of another range are not believed.
func TestPortsOfAnotherRange(t *testing.T) {
	c := &cell{}
	if _, err := NewPorts(utilnet.PortRange{Base: 30000, Size: 2}, c).Allocate(t.Context(), []int32{0, 0}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := NewPorts(utilnet.PortRange{Base: 31000, Size: 2}, c).Allocate(t.Context(), []int32{31000, 31001}, false); err != nil {
		t.Error(err)
	}
}

func BenchmarkPorts(b *testing.B) {
	p := NewPorts(utilnet.PortRange{Base: 30000, Size: 2768}, &cell{})
	for b.Loop() {
		got, err := p.Allocate(b.Context(), []int32{0}, false)
		if err != nil {
			b.Fatal(fmt.Errorf("allocating: %w", err))
		}
		if err := p.Release(b.Context(), got); err != nil {
			b.Fatal(err)
		}
	}
}
