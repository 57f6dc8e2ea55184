package serviceip

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addresses are the usable ones of a range: without the network address and, in IPv4, the broadcast address. At most
// 2^64 addresses of an IPv6 range are used.
type addresses struct {
	prefix netip.Prefix
	count  uint64 // usable ones
}

// interval is a part of the usable addresses.
type interval struct{ first, size uint64 }

func span(p netip.Prefix) addresses {
	hostBits := p.Addr().BitLen() - p.Bits()
	total := ^uint64(0)
	if hostBits < 64 {
		total = uint64(1) << hostBits
	}
	reserved := uint64(1)
	if p.Addr().Is4() {
		reserved = 2
	}
	if total <= reserved {
		return addresses{prefix: p}
	}
	return addresses{prefix: p, count: total - reserved}
}

// at is the n-th usable address, from 0.
func (s addresses) at(n uint64) netip.Addr {
	base := s.prefix.Addr().As16()
	low := binary.BigEndian.Uint64(base[8:])
	sum, carry := bits.Add64(low, n+1, 0)
	binary.BigEndian.PutUint64(base[8:], sum)
	if carry > 0 {
		binary.BigEndian.PutUint64(base[:8], binary.BigEndian.Uint64(base[:8])+1)
	}
	addr := netip.AddrFrom16(base)
	if s.prefix.Addr().Is4() {
		return addr.Unmap()
	}
	return addr
}

// contains says whether addr is usable.
func (s addresses) contains(addr netip.Addr) bool {
	if !s.prefix.Contains(addr) || s.count == 0 {
		return false
	}
	return addr.Compare(s.at(0)) >= 0 && addr.Compare(s.at(s.count-1)) <= 0
}

// bands splits the range for dynamic and static use: the lower band has between 16 and 256 addresses, a sixteenth of
// the range in between; a range below 16 addresses has none.
func (s addresses) bands() (upper, lower interval) {
	const least, most, part = 16, 256, 16
	offset := uint64(0)
	if s.count >= least {
		offset = min(max(s.count/part, least), most)
	}
	if offset >= s.count {
		offset = 0
	}
	return interval{first: offset, size: s.count - offset}, interval{first: 0, size: offset}
}
