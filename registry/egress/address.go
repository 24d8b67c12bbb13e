package egress

import (
	"net/netip"
	"strings"
)

// notPublic are the blocks of the IANA special-purpose address registries
// (RFC 6890 and later) that no public service is at.
var notPublic = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),         // this network; 0.0.0.0 is often this machine
	netip.MustParsePrefix("10.0.0.0/8"),        // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),     // carriers' NAT, RFC 6598; metadata of some clouds
	netip.MustParsePrefix("127.0.0.0/8"),       // loopback
	netip.MustParsePrefix("168.63.129.16/32"),  // a cloud's host, as seen by its guests
	netip.MustParsePrefix("169.254.0.0/16"),    // link-local; metadata of most clouds
	netip.MustParsePrefix("172.16.0.0/12"),     // private
	netip.MustParsePrefix("192.0.0.0/24"),      // protocol assignments; metadata of some clouds
	netip.MustParsePrefix("192.0.2.0/24"),      // documentation, RFC 5737
	netip.MustParsePrefix("192.88.99.0/24"),    // 6to4 relays, RFC 7526
	netip.MustParsePrefix("192.168.0.0/16"),    // private
	netip.MustParsePrefix("198.18.0.0/15"),     // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"),   // documentation
	netip.MustParsePrefix("203.0.113.0/24"),    // documentation
	netip.MustParsePrefix("224.0.0.0/4"),       // multicast
	netip.MustParsePrefix("240.0.0.0/4"),       // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),         // protocol assignments: Teredo, ORCHID, benchmarks
	netip.MustParsePrefix("2001:db8::/32"),     // documentation, RFC 3849
	netip.MustParsePrefix("2002::/16"),         // 6to4: an IPv4 address inside
	netip.MustParsePrefix("2620:4f:8000::/48"), // AS112: answers for private addresses
	netip.MustParsePrefix("3fff::/20"),         // documentation, RFC 9637
}

// public tells whether an address is one that anybody can reach.
func public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" || ip.Is6() && !globalUnicast(ip) {
		return false
	}
	for _, block := range notPublic {
		if block.Contains(ip) {
			return false
		}
	}
	return true
}

// globalUnicast tells whether an IPv6 address is in 2000::/3, which IANA gives
// out as such, RFC 4291 section 2.4. Unique local, link-local, multicast, NAT64
// (64:ff9b::/96), IPv4-compatible and translated addresses are not, nor is what
// nobody has given a meaning yet.
func globalUnicast(ip netip.Addr) bool { return ip.As16()[0]>>5 == 0b001 }

// permitted tells whether ip may be dialled. It expects no IPv4-mapped address:
// those are the IPv4 address they hold, for good and bad.
func (d *Dialer) permitted(ip netip.Addr) bool {
	if public(ip) {
		return true
	}
	for _, block := range d.Allow {
		if block.Contains(ip) { // never one with a zone
			return true
		}
	}
	return false
}

// literal reads a host that is an address. A host that is none but that some
// resolvers take for one, such as 0177.1 or 0x7f000001, is bad: whatever looks
// at it next must not see another address than was checked here. The rule is
// that of the URL standard (WHATWG), "ends in a number".
func literal(host string) (ip netip.Addr, bad bool) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), ip.Zone() != ""
	}
	name := strings.TrimSuffix(host, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	return netip.Addr{}, !hostName(name) || numeric(last)
}

func numeric(label string) bool {
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(strings.ToLower(label), "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

// hostName tells whether s is written as names in the DNS are, RFC 1123
// section 2.1, or with the underscores that some use.
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
