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
	if err := p.Reset(ctx, func(context.Context) ([]int32, error) { return []int32{30000, 0, 99}, nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Allocate(ctx, []int32{0, 0, 0}, false); err != nil || slices.Contains(got, 30000) {
		t.Errorf("after a repair: %v %v", got, err)
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
