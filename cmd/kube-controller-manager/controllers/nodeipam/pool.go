package nodeipam

import (
	"fmt"
	"math/big"
	"net/netip"
)

// Range is a cluster CIDR and the prefix length of a node's part of it.
type Range struct {
	CIDR     netip.Prefix
	NodeBits int
}

// maxBits bounds how many parts a range has: they are numbered.
const maxBits = 62

// pool gives out the parts of a range, the lowest first; one that was given back comes last, so that nobody meets an address that
// was just another's. Taking a part costs the same however many are out: no number is looked at twice in vain.
type pool struct {
	Range
	size uint64
	// out counts who holds a part, by its number: two nodes may claim the same one. wide are prefixes of several parts.
	out  map[uint64]int
	wide map[netip.Prefix]int
	// next is the lowest number that was never looked at, back the lower ones that were given back, in order.
	next uint64
	back []uint64
}

func newPool(r Range) (*pool, error) {
	r.CIDR = r.CIDR.Masked()
	if n := r.NodeBits - r.CIDR.Bits(); n < 0 || r.NodeBits > r.CIDR.Addr().BitLen() {
		return nil, fmt.Errorf("a node mask of %d bits does not divide --cluster-cidr %s: --node-cidr-mask-size must be between %d and %d", r.NodeBits, r.CIDR, r.CIDR.Bits(), r.CIDR.Addr().BitLen())
	} else if n > maxBits {
		return nil, fmt.Errorf("a node mask of %d bits makes too many parts of --cluster-cidr %s: --node-cidr-mask-size must be at most %d", r.NodeBits, r.CIDR, r.CIDR.Bits()+maxBits)
	}
	return &pool{Range: r, size: 1 << (r.NodeBits - r.CIDR.Bits()), out: map[uint64]int{}, wide: map[netip.Prefix]int{}}, nil
}

// take gives a free part out; false: there is none.
func (p *pool) take() (netip.Prefix, bool) {
	for p.next < p.size {
		n := p.next
		if last, covered := p.covered(n); covered {
			p.next = last + 1
			continue
		}
		p.next++
		if p.out[n] == 0 {
			return p.give(n), true
		}
	}
	for len(p.back) > 0 {
		n := p.back[0]
		p.back = p.back[1:]
		if _, covered := p.covered(n); !covered && p.out[n] == 0 {
			return p.give(n), true
		}
	}
	return netip.Prefix{}, false
}

func (p *pool) give(n uint64) netip.Prefix {
	p.out[n]++
	bits := p.CIDR.Addr().BitLen()
	sum := new(big.Int).SetBytes(p.CIDR.Addr().AsSlice())
	sum.Add(sum, new(big.Int).Lsh(new(big.Int).SetUint64(n), uint(bits-p.NodeBits)))
	addr, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, bits/8)))
	return netip.PrefixFrom(addr, p.NodeBits)
}

// occupy notes that somebody holds the prefix; what lies outside of the range is not of interest.
func (p *pool) occupy(prefix netip.Prefix) {
	switch first, last, ok := p.parts(prefix); {
	case !ok:
	case first == last:
		p.out[first]++
	default:
		p.wide[prefix.Masked()]++
	}
}

// release is the reverse of occupy and take.
func (p *pool) release(prefix netip.Prefix) {
	first, last, ok := p.parts(prefix)
	if !ok {
		return
	}
	if first == last {
		if p.out[first]--; p.out[first] > 0 {
			return
		}
		delete(p.out, first)
	} else {
		prefix = prefix.Masked()
		if p.wide[prefix]--; p.wide[prefix] > 0 {
			return
		}
		delete(p.wide, prefix)
	}
	for n := first; n <= last && n < p.next; n++ {
		p.back = append(p.back, n)
	}
}

// parts are the numbers of the first and the last part that the prefix touches.
func (p *pool) parts(prefix netip.Prefix) (first, last uint64, ok bool) {
	if !p.CIDR.Overlaps(prefix) {
		return 0, 0, false
	}
	if prefix.Bits() <= p.CIDR.Bits() {
		return 0, p.size - 1, true
	}
	bits := p.CIDR.Addr().BitLen()
	offset := new(big.Int).SetBytes(prefix.Masked().Addr().AsSlice())
	offset.Sub(offset, new(big.Int).SetBytes(p.CIDR.Addr().AsSlice()))
	first = offset.Rsh(offset, uint(bits-p.NodeBits)).Uint64()
	if prefix.Bits() >= p.NodeBits {
		return first, first, true
	}
	return first, first + 1<<(p.NodeBits-prefix.Bits()) - 1, true
}

// covered tells whether a wide prefix holds part n, and the last part that it holds.
func (p *pool) covered(n uint64) (last uint64, ok bool) {
	for prefix := range p.wide {
		if first, last, _ := p.parts(prefix); first <= n && n <= last {
			return last, true
		}
	}
	return 0, false
}
