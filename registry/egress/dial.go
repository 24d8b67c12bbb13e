package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// connectTimeout bounds one attempt to connect to one address.
const connectTimeout = 5 * time.Second

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 4

// ForbiddenError says that a host may not be connected to.
type ForbiddenError struct {
	Host    string
	Address netip.Addr // the first that is refused; not valid if Host is refused as it is written
}

func (e *ForbiddenError) Error() string {
	if !e.Address.IsValid() {
		return fmt.Sprintf("%q is not a host that may be connected to: use a name or a plain IP address", e.Host)
	}
	return fmt.Sprintf("%q is at %s, which is not a public address: list it in egress.allow if this server may connect to it", e.Host, e.Address)
}

// Dialer connects to public addresses and to those that are allowed. Its zero
// value is ready, and allows none beside.
type Dialer struct {
	Allow []netip.Prefix
	// Wrap watches the exchanges of clients; nil for nobody.
	Wrap func(http.RoundTripper) http.RoundTripper

	// For tests: the system's when nil.
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	connect func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// DialContext connects to "host:port" by TCP. It returns a [*ForbiddenError].
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("dial %s: only TCP is used", network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("dial %q: %q is not a port", address, service)
	}
	ips, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		conn, err := d.dial(ctx, network, netip.AddrPortFrom(ip, uint16(port)))
		if err == nil {
			return conn, nil
		}
		problems = append(problems, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(problems...)
}

// addresses are all that a host has, each checked.
func (d *Dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	ip, bad := literal(host)
	if bad {
		return nil, &ForbiddenError{Host: host}
	}
	ips := []netip.Addr{ip}
	if !ip.IsValid() {
		resolve := d.resolve
		if resolve == nil {
			resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
				return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
			}
		}
		var err error
		if ips, err = resolve(ctx, host); err != nil {
			return nil, fmt.Errorf("resolve %q: %w", host, err)
		}
		if len(ips) == 0 {
			return nil, fmt.Errorf("resolve %q: no address", host)
		}
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
		if !d.permitted(ips[i]) {
			return nil, &ForbiddenError{Host: host, Address: ips[i]}
		}
	}
	return ips, nil
}

func (d *Dialer) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if d.connect != nil {
		return d.connect(ctx, network, to)
	}
	var plain net.Dialer
	return plain.DialContext(ctx, network, to.String())
}
