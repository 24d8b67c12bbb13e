package helm

import (
	"io"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	provBegin = "-----BEGIN PGP SIGNED MESSAGE-----"
	provSign  = "-----BEGIN PGP SIGNATURE-----"
	provEnd   = "-----END PGP SIGNATURE-----"
	maxProv   = 2 * maxYAML // bytes: it holds a Chart.yaml
)

// provenance is what a provenance file says is signed. Whether the signature
// is good is for those who trust its key.
type provenance struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Files   map[string]string `json:"files"` // "sha256:" and hexadecimal digits, by name
}

// readProvenance reads a file that `helm package --sign` wrote: a cleartext
// signature (RFC 9580, section 7) of Chart.yaml and the archive's checksum. It
// returns MANIFEST_INVALID, or what reading r returns.
func readProvenance(r io.ReaderAt, size int64) (*provenance, error) {
	if size > maxProv {
		return nil, artifacttypes.Invalid("the provenance has %d bytes, the limit is %d", size, maxProv)
	}
	content, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	text, ok := signedText(strings.ReplaceAll(string(content), "\r\n", "\n"))
	if !ok {
		return nil, artifacttypes.Invalid("the provenance is no cleartext-signed message: make it with `helm package --sign`")
	}
	chart, sums, ok := strings.Cut(text, "\n...\n")
	if !ok {
		return nil, artifacttypes.Invalid("the provenance has no checksums after its Chart.yaml")
	}
	var m metadata
	if err := decodeYAML("the provenance's Chart.yaml", []byte(chart), &m); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	p := provenance{}
	if err := decodeYAML("the provenance's list of checksums", []byte(sums), &p); err != nil {
		return nil, err
	}
	p.Name, p.Version = m.Name, m.Version
	return &p, nil
}

// signedText is what is between a message's header and its signature, without
// dash-escapes.
func signedText(message string) (string, bool) {
	message, ok := strings.CutPrefix(strings.TrimLeft(message, "\n"), provBegin+"\n")
	_, text, headed := strings.Cut("\n"+message, "\n\n") // after "Hash: …" lines
	text, signature, signed := strings.Cut(text, "\n"+provSign)
	if !ok || !headed || !signed || !strings.Contains(signature, "\n"+provEnd) {
		return "", false
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "- ")
	}
	return strings.Join(lines, "\n"), true
}

// covers tells whether p is about content with the given SHA-256.
func (p *provenance) covers(sum string) bool {
	for _, s := range p.Files {
		if s == "sha256:"+sum {
			return true
		}
	}
	return false
}
