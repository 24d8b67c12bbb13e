package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// network is a dialer without a network: it answers for names and notes what
// would have been connected to.
type network struct {
	sync.Mutex
	names map[string][]string
	got   []netip.AddrPort
}

var errNoNetwork = errors.New("no network here")

func (n *network) dialer(allow ...string) *Dialer {
	d := &Dialer{
		resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			var ips []netip.Addr
			for _, s := range n.names[strings.ToLower(strings.TrimSuffix(host, "."))] {
				ips = append(ips, netip.MustParseAddr(s))
			}
			return ips, nil
		},
		connect: func(_ context.Context, _ string, to netip.AddrPort) (net.Conn, error) {
			n.Lock()
			defer n.Unlock()
			n.got = append(n.got, to)
			return nil, errNoNetwork
		},
	}
	for _, s := range allow {
		d.Allow = append(d.Allow, netip.MustParsePrefix(s))
	}
	return d
}

var hostileNames = map[string][]string{
	"public.example":     {"93.184.216.34"},
	"public6.example":    {"2606:2800:220:1:248:1893:25c8:1946"},
	"both.example":       {"93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"},
	"loopback.example":   {"127.0.0.1"},
	"second.example":     {"93.184.216.34", "127.0.0.1"},
	"third.example":      {"93.184.216.34", "1.1.1.1", "10.0.0.1"},
	"six.example":        {"93.184.216.34", "::1"},
	"mapped.example":     {"::ffff:127.0.0.1"},
	"mapped2.example":    {"93.184.216.34", "::ffff:169.254.169.254"},
	"metadata.example":   {"169.254.169.254"},
	"unique.example":     {"fd00:ec2::254"},
	"zone.example":       {"fe80::1%eth0"},
	"nat64.example":      {"64:ff9b::7f00:1"},
	"compatible.example": {"::127.0.0.1"},
	"nothing.example":    {},
	"localhost":          {"127.0.0.1", "::1"},
	"a.localhost":        {"127.0.0.1"},
	"xn--8ca.example":    {"10.1.2.3"},
}

// hostileHosts are hosts, as they stand in a URL, that must not be connected to.
func hostileHosts() []string {
	hosts := []string{
		// Plain.
		"127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
		"192.168.0.1", "192.168.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "169.254.169.254", "169.254.170.2", "169.254.0.1",
		"192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1", "224.0.0.1", "239.255.255.250",
		"240.0.0.1", "255.255.255.255", "168.63.129.16",
		// IPv6.
		"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0001]", "[fe80::1]", "[febf::1]", "[fec0::1]", "[fc00::1]", "[fd00::1]",
		"[fd00:ec2::254]", "[fd20:ce::254]", "[ff02::1]", "[ff0e::1]", "[2001:db8::1]", "[3fff::1]", "[3fff:fff::1]", "[100::1]", "[100:0:0:1::1]", "[5f00::1]", "[4000::1]", "[2620:4f:8000::1]",
		// An IPv4 address inside.
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::FFFF:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[::ffff:0.0.0.0]", "[::ffff:192.168.1.1]", "[::ffff:100.64.0.1]",
		"[::127.0.0.1]", "[::7f00:1]", "[::10.0.0.1]", "[::169.254.169.254]", "[::ffff:0:127.0.0.1]", "[::ffff:0:7f00:1]",
		"[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[64:ff9b::8.8.8.8]",
		"[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2002:a00:1::1]", "[2002:c0a8:101::1]", "[2002:a9fe:a9fe::]", "[2002:808:808::1]",
		"[2001::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:0:7f00:1::]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]",
		// With a zone.
		"[::1%25lo]", "[fe80::1%25eth0]", "[fe80::1%251]", "[2606:2800:220:1:248:1893:25c8:1946%25eth0]", "[::ffff:127.0.0.1%25lo]",
		// Decimal, octal, hexadecimal and short forms that some resolvers take.
		"2130706433", "017700000001", "0x7f000001", "0x7F000001", "0X7f000001", "0x7f.0x0.0x0.0x1", "0x7f.1", "0177.0.0.1", "0177.0.0.01", "0177.1", "127.1", "127.0.1", "127.0.0x1",
		"0127.0.0.1", "00000177.0.0.1", "127.000.000.001", "1", "0", "00", "0x", "0x0", "3232235777", "2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "10.1", "192.168.257",
		"167772161", "4294967295", "4294967296", "1.2.3.4.5", "256.256.256.256", "999.1", "127.0.0.1.0", "8.8.8.0x8", "93.184.55330", "example.0x7f", "example.1", "-1",
		// Trailing dots.
		"127.0.0.1.", "2130706433.", "0x7f000001.", "127.1.", "localhost.", "loopback.example.", "127.0.0.1..", "localhost..", "10.0.0.1.", "169.254.169.254.",
		// Other scripts' digits and dots, which are mapped to ASCII on the way.
		"①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.０.０.１", "１６９.２５４.１６９.２５４", "127．0．0．1", "ⓛocalhost",
		// Names.
		"localhost", "LOCALHOST", "LocalHost", "a.localhost", "loopback.example", "LOOPBACK.example", "second.example", "third.example", "six.example", "mapped.example", "mapped2.example",
		"metadata.example", "unique.example", "zone.example", "nat64.example", "compatible.example", "nothing.example", "xn--8ca.example",
		// Not names.
		"a..example", ".public.example", "public.example%2e127.0.0.1", "public.example%00.example", "public_example%20", "*.example", "public.example%0a", "[public.example]", "[127.0.0.1]", "[::1",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
		// What stands before and after the host.
		"public.example@127.0.0.1", "public.example:443@127.0.0.1", "public.example%40127.0.0.1@127.0.0.1", "127.0.0.1%23@public.example", "a:b@public.example", "public.example%2f@127.0.0.1",
		"127.0.0.1:80", "[::1]:443", "127.0.0.1:0", "localhost:22", "127.0.0.1:65536", "127.0.0.1#@public.example", "127.0.0.1?@public.example", "127.0.0.1/@public.example", `127.0.0.1\@public.example`, "127.0.0.1%5c@public.example",
	}
	return hosts
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	n := &network{names: hostileNames}
	client := n.dialer().Client(1 << 10)
	forms := 0
	for _, host := range hostileHosts() {
		for _, scheme := range []string{"http", "https"} {
			forms++
			get(t, client, scheme+"://"+host+"/")
		}
	}
	for _, u := range []string{
		"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "unix:///run/docker.sock", "//127.0.0.1/", "http:127.0.0.1/", "http:///127.0.0.1", "HTTP://127.0.0.1/", "data:text/plain,x",
		"http://", "https://:443/", "http://%31%32%37.0.0.1/", "http://127.0.0.1", "http://0/", "dict://127.0.0.1:11211/", "http+unix://%2frun%2fdocker.sock/", "jar:http://127.0.0.1!/", "javascript:1",
	} {
		forms++
		get(t, client, u)
	}
	if len(n.got) > 0 {
		t.Errorf("connected to %v, want nothing", n.got)
	}
	if forms < 150 {
		t.Errorf("%d forms were tried, want 150 at least", forms)
	}
	t.Logf("%d forms", forms)
}

func get(t *testing.T, client *http.Client, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return // not a URL at all
	}
	res, err := client.Do(req)
	if err == nil {
		_ = res.Body.Close()
		t.Errorf("GET %s answered %s", url, res.Status)
	} else if errors.Is(err, errNoNetwork) {
		t.Errorf("GET %s: a connection was tried", url)
	}
}

// TestPermitted is the proof that TestForbidden can fail: what may be
// connected to is.
func TestPermitted(t *testing.T) {
	t.Parallel()
	private := []string{"10.0.0.0/8", "::1/128", "127.0.0.0/8"}
	tests := []struct {
		host  string
		allow []string
		want  string // "" for none
	}{
		{"93.184.216.34", nil, "93.184.216.34:443"},
		{"[::ffff:93.184.216.34]", nil, "93.184.216.34:443"},
		{"[2606:2800:220:1:248:1893:25c8:1946]", nil, "[2606:2800:220:1:248:1893:25c8:1946]:443"},
		{"172.15.255.255", nil, "172.15.255.255:443"},
		{"172.32.0.0", nil, "172.32.0.0:443"},
		{"100.63.255.255", nil, "100.63.255.255:443"},
		{"100.128.0.0", nil, "100.128.0.0:443"},
		{"public.example", nil, "93.184.216.34:443"},
		{"public.example.", nil, "93.184.216.34:443"},
		{"public6.example", nil, "[2606:2800:220:1:248:1893:25c8:1946]:443"},
		{"10.1.2.3", private, "10.1.2.3:443"},
		{"[::ffff:10.1.2.3]", private, "10.1.2.3:443"},
		{"third.example", private, "93.184.216.34:443"},
		{"localhost", private, "127.0.0.1:443"},
		{"localhost", private[2:], ""},    // ::1 is not allowed
		{"[::127.0.0.1]", private, ""},    // another address than 127.0.0.1
		{"[64:ff9b::a00:1]", private, ""}, // NAT64
		{"[::1%25lo]", private, ""},
		{"192.168.0.1", private, ""},
		{"2130706433", private, ""},
	}
	for _, tt := range tests {
		t.Run(tt.host+fmt.Sprint(tt.allow), func(t *testing.T) {
			t.Parallel()
			n := &network{names: hostileNames}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+tt.host, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			_, err = n.dialer(tt.allow...).Client(1).Do(req) //nolint:bodyclose // there is no answer
			if err == nil {
				t.Fatal("there was an answer")
			}
			got := ""
			if len(n.got) > 0 {
				got = n.got[0].String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("connected to (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func TestForbiddenError(t *testing.T) {
	t.Parallel()
	n := &network{names: hostileNames}
	for host, want := range map[string]string{
		"second.example:443": `"second.example" is at 127.0.0.1, which is not a public address: list it in egress.allow if this server may connect to it`,
		"0x7f.1:443":         `"0x7f.1" is not a host that may be connected to: use a name or a plain IP address`,
	} {
		_, err := n.dialer().DialContext(t.Context(), "tcp", host)
		if _, ok := errors.AsType[*ForbiddenError](err); !ok || err.Error() != want {
			t.Errorf("DialContext(%s): %v, want %s", host, err, want)
		}
	}
	if _, err := n.dialer().DialContext(t.Context(), "unix", "public.example:443"); err == nil {
		t.Error("a socket was dialled")
	}
	if len(n.got) > 0 {
		t.Errorf("connected to %v", n.got)
	}
}

// TestAddressesInTurn checks that only addresses that were checked are tried,
// each once, and not without end.
func TestAddressesInTurn(t *testing.T) {
	t.Parallel()
	names := map[string][]string{"many.example": nil}
	for i := range 20 {
		names["many.example"] = append(names["many.example"], fmt.Sprintf("93.184.216.%d", i))
	}
	n := &network{names: names}
	if _, err := n.dialer().DialContext(t.Context(), "tcp", "many.example:80"); !errors.Is(err, errNoNetwork) {
		t.Errorf("err = %v", err)
	}
	want := []string{"93.184.216.0:80", "93.184.216.1:80", "93.184.216.2:80", "93.184.216.3:80"}
	var got []string
	for _, a := range n.got {
		got = append(got, a.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connected to (-want +got):\n%s", diff)
	}
}

// local makes a client that may reach this machine, and a server on it.
func local(t *testing.T, limit int64, h http.HandlerFunc) (*http.Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	d := &Dialer{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	client := d.Client(limit)
	t.Cleanup(client.CloseIdleConnections)
	return client, s
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	client, s := local(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		n := 1000
		if strings.HasPrefix(r.URL.Path, "/more") {
			n++
		}
		if strings.HasSuffix(r.URL.Path, "flushed") {
			http.NewResponseController(w).Flush() //nolint:errcheck // the client sees it
		}
		_, _ = w.Write(make([]byte, n))
	})
	for path, want := range map[string]error{"/": nil, "/flushed": nil, "/more": ErrTooLarge, "/more/flushed": ErrTooLarge} {
		n, err := read(t, client, s.URL+path)
		if !errors.Is(err, want) || err == nil && n != 1000 {
			t.Errorf("%s: %d bytes, %v, want %v", path, n, err, want)
		}
	}
}

func read(t *testing.T, client *http.Client, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret")
	req.Header.Set("Cookie", "a=secret")
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(res.Body)
	return len(body), err
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.URL.Path+" "+r.Header.Get("Authorization")+r.Header.Get("Cookie"))
		mu.Unlock()
		if r.URL.Path == "/on" {
			http.Redirect(w, r, "/end", http.StatusFound)
		}
	}))
	t.Cleanup(other.Close)
	client, s := local(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/3":
			http.Redirect(w, r, "/2", http.StatusFound)
		case "/2":
			http.Redirect(w, r, "/1", http.StatusFound)
		case "/1":
			http.Redirect(w, r, "/0", http.StatusFound)
		case "/4":
			http.Redirect(w, r, "/3", http.StatusFound)
		case "/other":
			http.Redirect(w, r, other.URL+"/on", http.StatusFound)
		case "/post":
			http.Redirect(w, r, other.URL+"/post", http.StatusTemporaryRedirect)
		case "/private":
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/user":
			http.Redirect(w, r, "http://a:b@"+r.Host+"/0", http.StatusFound)
		case "/0":
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
		}
	})
	if n, err := read(t, client, s.URL+"/3"); err != nil || n != len("Bearer secret") {
		t.Errorf("three redirects: %d bytes, %v", n, err)
	}
	for _, path := range []string{"/4", "/private", "/file", "/user"} {
		if _, err := read(t, client, s.URL+path); err == nil {
			t.Errorf("%s was followed", path)
		}
	}
	if _, err := read(t, client, s.URL+"/other"); err != nil {
		t.Errorf("to another origin: %v", err)
	}
	if res, err := client.Post(s.URL+"/post", "text/plain", strings.NewReader("secret")); err == nil { //nolint:noctx // ends with the servers
		t.Errorf("a body went to another origin: %s", res.Status)
		_ = res.Body.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"/on ", "/end "}, seen); diff != "" {
		t.Errorf("the other origin saw (-want +got):\n%s", diff)
	}
}

func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	request := func(url string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	via := []*http.Request{request("https://a.example/")}
	if err := checkRedirect(request("http://a.example/"), via); err == nil {
		t.Error("a redirect from https to http was followed")
	}
	if err := checkRedirect(request("https://a.example/b"), via); err != nil {
		t.Errorf("within https: %v", err)
	}
}

func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	n := &network{names: hostileNames}
	get := func(url string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = n.dialer("127.0.0.0/8").Client(1).Do(req) //nolint:bodyclose // there is no answer
	}
	get("http://public.example/")
	want := netip.MustParseAddrPort("93.184.216.34:80")
	if len(n.got) != 1 || n.got[0] != want {
		t.Errorf("connected to %v, want %v", n.got, want)
	}
}
