package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size: "4MiB", "512 KiB", or a plain number of bytes.
type Bytes int64

// Binary units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

var byteUnits = []struct {
	name string
	size Bytes
}{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), Bytes(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)/int64(unit) {
		return fmt.Errorf("%q is not a size: write a number with B, KiB, MiB, GiB or TiB, such as 4MiB", text)
	}
	*b = Bytes(n) * unit
	return nil
}

// MarshalText writes a size in the largest unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) {
	for _, u := range byteUnits {
		if b != 0 && b%u.size == 0 {
			return fmt.Appendf(nil, "%d%s", b/u.size, u.name), nil
		}
	}
	return []byte("0B"), nil
}

func (b Bytes) String() string {
	text, _ := b.MarshalText()
	return string(text)
}

const day = 24 * time.Hour

// Duration is a time span: "90s", "1h30m", or in whole days "7d".
type Duration time.Duration

// UnmarshalText reads a time span.
func (d *Duration) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			*d = Duration(time.Duration(n) * day)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a time span: write a number with ms, s, m, h or d, such as 90s or 7d", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes whole days as days and leaves out zero minutes and seconds.
func (d Duration) MarshalText() ([]byte, error) {
	v := time.Duration(d)
	if v != 0 && v%day == 0 {
		return fmt.Appendf(nil, "%dd", v/day), nil
	}
	s := v.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-len(zero)+1]
		}
	}
	return []byte(s), nil
}

func (d Duration) String() string {
	text, _ := d.MarshalText()
	return string(text)
}

// Network is a range of addresses, "10.0.0.0/8", or one address.
type Network struct{ netip.Prefix }

// UnmarshalText reads a network.
func (n *Network) UnmarshalText(text []byte) (err error) {
	if ip, single := netip.ParseAddr(string(text)); single == nil {
		n.Prefix = netip.PrefixFrom(ip, ip.BitLen())
		return nil
	}
	if n.Prefix, err = netip.ParsePrefix(string(text)); err != nil {
		return fmt.Errorf("%q is not a network: write an address or a CIDR range, such as 10.0.0.0/8", text)
	}
	return nil
}

// Params are a storage driver's own parameters. When they are printed, each
// one that is not known to be harmless is hidden.
type Params map[string]any

const redacted = "REDACTED"

// harmless lists the parameters of distribution's drivers that hold no secret.
var harmless = []string{
	"accelerate", "accountname", "bucket", "chunksize", "container", "encrypt", "forcepathstyle", "keyid", "loglevel",
	"maxrequestspersecond", "maxthreads", "redirectendpoint", "multipartcopychunksize", "multipartcopymaxconcurrency",
	"multipartcopythresholdsize", "objectacl", "realm", "region", "regionendpoint", "rootdirectory", "secure", "skipverify",
	"storageclass", "usedualstack", "v4auth",
}

// Redacted returns p with every value hidden that may be a secret.
func (p Params) Redacted() Params {
	if p == nil {
		return nil
	}
	shown := make(Params, len(p))
	for name, v := range p {
		if !slices.Contains(harmless, name) {
			v = redacted
		}
		shown[name] = v
	}
	return shown
}

// MarshalJSON hides secrets.
func (p Params) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]any(p.Redacted())) }

// MarshalYAML hides secrets.
func (p Params) MarshalYAML() (any, error) { return map[string]any(p.Redacted()), nil }

func (p Params) String() string { return fmt.Sprint(map[string]any(p.Redacted())) }

// Settings are those of package formats: by format, then by key.
type Settings map[string]map[string]string

// set sets FORMAT.KEY.
func (s *Settings) set(name, text string) error {
	format, key, ok := strings.Cut(name, ".")
	if !ok {
		return fmt.Errorf("formats.%s is a section, not a value: set one of its keys", name)
	}
	if *s == nil {
		*s = Settings{}
	}
	if (*s)[format] == nil {
		(*s)[format] = map[string]string{}
	}
	(*s)[format][key] = text
	return nil
}
