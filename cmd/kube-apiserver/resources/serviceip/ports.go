package serviceip

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/storage"
)

// What can go wrong with a node port.
var (
	ErrPortAllocated  = errors.New("provided port is already allocated")
	ErrPortNotInRange = errors.New("provided port is not in the valid range")
)

// PortError says which of the wanted ports cannot be had, and why.
type PortError struct {
	Index int
	Err   error
}

func (e *PortError) Error() string { return e.Err.Error() }
func (e *PortError) Unwrap() error { return e.Err }

// portsKey is where the bits of node ports lie.
const portsKey = "/ranges/servicenodeports"

// Ports gives out node ports. A port belongs to one service at a time, for all protocols.
type Ports struct {
	ports   utilnet.PortRange
	storage storage.Interface
}

// NewPorts keeps the state of ports in s.
func NewPorts(ports utilnet.PortRange, s storage.Interface) *Ports {
	return &Ports{ports: ports, storage: s}
}

// Range is --service-node-port-range.
func (p *Ports) Range() utilnet.PortRange { return p.ports }

// Allocate takes the wanted ports, 0 for any, all or none of them. A PortError tells which stood in the way.
func (p *Ports) Allocate(ctx context.Context, wanted []int32, dryRun bool) ([]int32, error) {
	var got []int32
	try := func(bits *big.Int) error {
		got = make([]int32, len(wanted))
		for i, port := range wanted { // those who know what they want come first
			if port == 0 {
				continue
			}
			if !p.ports.Contains(int(port)) {
				return &PortError{i, fmt.Errorf("%w. The range of valid ports is %s", ErrPortNotInRange, p.ports.String())}
			}
			if bits.Bit(p.offset(port)) == 1 {
				return &PortError{i, ErrPortAllocated}
			}
			bits.SetBit(bits, p.offset(port), 1)
			got[i] = port
		}
		for i, port := range wanted {
			if port != 0 {
				continue
			}
			free, ok := p.free(bits)
			if !ok {
				return &PortError{i, ErrFull}
			}
			bits.SetBit(bits, p.offset(free), 1)
			got[i] = free
		}
		return nil
	}
	if dryRun {
		bits, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		return got, firstOf(try(bits), &got)
	}
	if err := p.update(ctx, try); err != nil {
		return nil, err
	}
	return got, nil
}

func firstOf(err error, got *[]int32) error {
	if err != nil {
		*got = nil
	}
	return err
}

// Release gives ports back.
func (p *Ports) Release(ctx context.Context, ports []int32) error {
	if len(ports) == 0 {
		return nil
	}
	return p.update(ctx, func(bits *big.Int) error {
		for _, port := range ports {
			if p.ports.Contains(int(port)) {
				bits.SetBit(bits, p.offset(port), 0)
			}
		}
		return nil
	})
}

// Repair makes the books agree with the ports that used returns; what was lost by a crash comes back. A port that is
// booked and not used may be that of a service that is just being made: only what former, the result of the last
// repair, names as well is freed. Repair returns what it left.
func (p *Ports) Repair(ctx context.Context, former []int32, used func(ctx context.Context) ([]int32, error)) (left []int32, err error) {
	err = p.update(ctx, func(bits *big.Int) error {
		ports, err := used(ctx)
		if err != nil {
			return err
		}
		left = nil
		for i := range bits.BitLen() {
			if port := int32(p.ports.Base + i); bits.Bit(i) == 1 && !slices.Contains(ports, port) {
				left = append(left, port)
			}
		}
		for _, port := range left {
			if slices.Contains(former, port) {
				bits.SetBit(bits, p.offset(port), 0)
			}
		}
		left = slices.DeleteFunc(left, func(port int32) bool { return slices.Contains(former, port) })
		for _, port := range ports {
			if p.ports.Contains(int(port)) {
				bits.SetBit(bits, p.offset(port), 1)
			}
		}
		return nil
	})
	return left, err
}

func (p *Ports) offset(port int32) int { return int(port) - p.ports.Base }

func (p *Ports) free(bits *big.Int) (int32, bool) {
	// Like with addresses, the lower ports are left to those who choose, as long as there is room above (KEP-3668).
	size := uint64(p.ports.Size)
	offset := uint64(0)
	if size >= 32 {
		offset = min(max(size/32, 16), 128)
	}
	for _, band := range []interval{{offset, size - offset}, {0, offset}} {
		if band.size == 0 {
			continue
		}
		start := rand.Uint64N(band.size)
		for i := range band.size {
			n := int(band.first + (start+i)%band.size)
			if bits.Bit(n) == 0 {
				return int32(p.ports.Base + n), true
			}
		}
	}
	return 0, false
}

func (p *Ports) read(ctx context.Context) (*big.Int, error) {
	r := &corev1.RangeAllocation{}
	if err := p.storage.Get(ctx, portsKey, storage.GetOptions{IgnoreNotFound: true}, r); err != nil {
		return nil, err
	}
	return p.bits(r), nil
}

// bits of another range than ours count as none: Repair fills them anew.
func (p *Ports) bits(r *corev1.RangeAllocation) *big.Int {
	bits := &big.Int{}
	if r.Range == p.ports.String() {
		bits.SetBytes(r.Data)
	}
	return bits
}

func (p *Ports) update(ctx context.Context, change func(bits *big.Int) error) error {
	return p.storage.GuaranteedUpdate(ctx, portsKey, &corev1.RangeAllocation{}, true, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		r := obj.(*corev1.RangeAllocation)
		bits := p.bits(r)
		if err := change(bits); err != nil {
			return nil, err
		}
		r.Range, r.Data = p.ports.String(), bits.Bytes()
		return r, nil
	}), nil)
}
