package server

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/packhouse/packhouse/registry/config"
)

// proxies are the peers whose word about the client is taken.
type proxies []config.Network

func (p proxies) trust(ip netip.Addr) bool {
	for _, n := range p {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// client returns the address of whoever sent r, as far as it can be believed,
// and whether r came by way of a trusted proxy.
func (p proxies) client(r *http.Request) (addr string, proxied bool) {
	addr = hostOf(r.RemoteAddr)
	if len(p) == 0 {
		return addr, false
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil || !p.trust(ip.Unmap()) {
		return addr, false
	}
	// Each proxy appends its peer, so the last address that is not a trusted
	// proxy is the client; what stands before it anybody can write.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, field := range slices.Backward(hops) {
		hop, err := netip.ParseAddr(strings.TrimSpace(field))
		if err != nil {
			break
		}
		if addr = hop.String(); !p.trust(hop.Unmap()) {
			break
		}
	}
	return addr, true
}

// hostOf cuts the port off HOST:PORT, and the brackets off an IPv6 address.
func hostOf(hostport string) string {
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 && (host[0] == '[' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

// requestIDs makes ids that no other request of this process has, and most
// likely none of another.
type requestIDs struct{ last atomic.Uint64 }

func (g *requestIDs) seed() { g.last.Store(rand.Uint64()) } //nolint:gosec // ids are no secrets

// next is SplitMix64: a bijection over a counter with a random start, so ids
// never repeat, look random and cost no lock.
func (g *requestIDs) next() string {
	z := g.last.Add(0x9e3779b97f4a7c15)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	var b [16]byte
	const digits = "0123456789abcdef"
	for i := range b {
		b[i] = digits[z&15]
		z >>= 4
	}
	return string(b[:])
}

// saneID tells whether a proxy's request id can go into a log and a header.
func saneID(id string) bool {
	const longest = 128
	if id == "" || len(id) > longest {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.:/+=", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// baseURL is how the client reaches this server.
func (h *handler) baseURL(r *http.Request, proxied bool) string {
	if h.cfg.ExternalURL != "" {
		return strings.TrimRight(h.cfg.ExternalURL, "/")
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if proxied {
		if v := r.Header.Get("X-Forwarded-Proto"); v == "http" || v == "https" {
			scheme = v
		}
		if v := r.Header.Get("X-Forwarded-Host"); v != "" && !strings.ContainsAny(v, "/\\ \"<>") {
			host = v
		}
		if v, err := strconv.ParseUint(r.Header.Get("X-Forwarded-Port"), 10, 16); err == nil && !strings.Contains(host, ":") && v != 80 && v != 443 {
			host += ":" + strconv.FormatUint(v, 10)
		}
	}
	return scheme + "://" + host
}
