package pypi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// signer makes attestations with a certificate of its own.
type signer struct {
	key         crypto.Signer
	certificate []byte
}

func newSigner(t *testing.T, key crypto.Signer, subject string) signer {
	t.Helper()
	uri, err := url.Parse(subject)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), URIs: []*url.URL{uri}, NotAfter: time.Unix(1<<32, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, certificate}
}

func newECDSA(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const predicate = "https://docs.pypi.org/attestations/publish/v1"

func statementOf(file string, content []byte, predicate string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":%q,"digest":{"sha256":"%x"}}],"predicateType":%q,"predicate":null}`,
		file, sum(content), predicate)
}

// sign makes an attestation object of a statement.
func (s signer) sign(t *testing.T, statement string) string {
	t.Helper()
	const payloadType = "application/vnd.in-toto+json"
	message := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
	options := crypto.SignerOpts(crypto.Hash(0))
	if _, ok := s.key.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(message)
		message, options = sum[:], crypto.SHA256
	}
	signature, err := s.key.Sign(rand.Reader, message, options)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`{"version":1,"verification_material":{"certificate":%q,"transparency_entries":[{"logIndex":"1"}]},"envelope":{"statement":%q,"signature":%q}}`,
		b64(s.certificate), b64([]byte(statement)), b64(signature))
}

type servedProvenance struct {
	Version int
	Bundles []struct {
		Publisher struct {
			Kind   string
			Claims struct{ Subject string }
		}
		Attestations []json.RawMessage
	} `json:"attestation_bundles"`
}

func TestAttestations(t *testing.T) {
	t.Parallel()
	f := open(t)
	content := wheel(t, "my-pkg", "1.0", "")
	first := newSigner(t, newECDSA(t), "https://ci.example.test/first")
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second := newSigner(t, edKey, "https://ci.example.test/second")
	published := first.sign(t, statementOf("My.Pkg-1.0-py3-none-any.whl", content, predicate)) // a spelling of the same name
	built := second.sign(t, statementOf(wheelFile, content, "https://slsa.dev/provenance/v1"))
	form := fields{{"attestations", "[" + published + "," + built + "]"}}
	f.mustUpload(form, wheelFile, content)
	f.mustUpload(form, wheelFile, content)
	f.mustUpload(nil, sdistFile, sdist(t, "my-pkg", "1.0", "")) // another edition

	where := f.Base() + "/integrity/my-pkg/1.0/" + wheelFile + "/provenance"
	for _, file := range f.page().Files {
		want := map[string]string{wheelFile: where}[file.Filename]
		if file.Provenance != want {
			t.Errorf("provenance of %s is at %q, want %q", file.Filename, file.Provenance, want)
		}
	}
	if html := f.get(http.StatusOK, "/simple/my-pkg/"); strings.Count(html, `data-provenance="`+where+`"`) != 1 {
		t.Errorf("page %s", html)
	}
	_, header, body := f.ask(http.MethodGet, strings.TrimPrefix(where, f.Base()), nil)
	if got := header.Get("Content-Type"); got != "application/vnd.pypi.integrity.v1+json" {
		t.Errorf("Content-Type %q", got)
	}
	var got servedProvenance
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Version != 1 || len(got.Bundles) != 2 {
		t.Fatalf("provenance %s, %v", body, err)
	}
	for i, want := range []struct{ signer, attestation string }{{"https://ci.example.test/first", published}, {"https://ci.example.test/second", built}} {
		b := got.Bundles[i]
		if b.Publisher.Claims.Subject != want.signer || len(b.Attestations) != 1 || string(b.Attestations[0]) != want.attestation {
			t.Errorf("bundle %d: %+v, want %+v", i, b, want)
		}
	}
	f.get(http.StatusNotFound, "/integrity/my-pkg/1.0/"+sdistFile+"/provenance")
	f.get(http.StatusNotFound, "/integrity/my-pkg/1.0/absent/provenance")

	// Who may push may attach anything: what does not hold is not served.
	for _, content := range []string{"no JSON", strings.Replace(published, `"version":1`, `"version":2`, 1)} {
		err := f.Engine.Attach(t.Context(), "acme/pypi/my-pkg", "1.0", registry.Referrer{
			ArtifactType: "application/vnd.packhouse.pypi.attestation.v1+json", MediaType: "application/json", Content: []byte(content),
			Annotations: map[string]string{registry.AnnotationFile: wheelFile},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if again := f.get(http.StatusOK, strings.TrimPrefix(where, f.Base())); again != body {
		t.Errorf("provenance with what was attached: %s", again)
	}
}

func TestAttestationsRefused(t *testing.T) {
	t.Parallel()
	content := wheel(t, "my-pkg", "1.0", "")
	s := newSigner(t, newECDSA(t), "https://ci.example.test/")
	other := newSigner(t, newECDSA(t), "https://ci.example.test/")
	sound := statementOf(wheelFile, content, predicate)
	good := s.sign(t, sound)
	swapped := signer{s.key, other.certificate}
	for name, tt := range map[string]struct{ attestations, want string }{
		"not an array":           {good, "not the JSON"},
		"another version":        {"[" + strings.Replace(good, `"version":1`, `"version":2`, 1) + "]", "version 2"},
		"a field more":           {"[" + strings.Replace(good, `"version":1`, `"version":1,"x":1`, 1) + "]", "unknown field"},
		"a field twice":          {"[" + strings.Replace(good, `"version":1`, `"version":1,"Version":1`, 1) + "]", "twice"},
		"no log":                 {"[" + strings.Replace(good, `[{"logIndex":"1"}]`, `[]`, 1) + "]", "transparency log"},
		"no certificate":         {"[" + strings.Replace(good, base64.StdEncoding.EncodeToString(s.certificate), "AAAA", 1) + "]", "no X.509 certificate"},
		"another's certificate":  {"[" + swapped.sign(t, sound) + "]", "not signed with the key"},
		"another statement":      {"[" + strings.Replace(good, base64.StdEncoding.EncodeToString([]byte(sound)), base64.StdEncoding.EncodeToString([]byte(sound+" ")), 1) + "]", "not signed with the key"},
		"another file":           {"[" + s.sign(t, statementOf("other-1.0-py3-none-any.whl", content, predicate)) + "]", "about another file"},
		"the other distribution": {"[" + s.sign(t, statementOf(sdistFile, content, predicate)) + "]", "about another file"},
		"other content":          {"[" + s.sign(t, statementOf(wheelFile, nil, predicate)) + "]", "other content"},
		"two subjects":           {"[" + s.sign(t, strings.Replace(sound, `"subject":[`, `"subject":[{"name":"x","digest":{}},`, 1)) + "]", "about another file"},
		"no subject":             {"[" + s.sign(t, `{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}`) + "]", "about another file"},
		"no predicate type":      {"[" + s.sign(t, statementOf(wheelFile, content, "")) + "]", "no predicate type"},
		"another statement type": {"[" + s.sign(t, strings.Replace(sound, "/v1", "/v0.1", 1)) + "]", "no in-toto statement"},
		"a key twice inside":     {"[" + s.sign(t, strings.Replace(sound, `"subject"`, `"subject":[],"subject"`, 1)) + "]", "no in-toto statement"},
		"no JSON inside":         {"[" + s.sign(t, "text") + "]", "no in-toto statement"},
		"two of one type":        {"[" + good + "," + good + "]", "two attestations"},
		"very many":              {"[" + strings.Repeat(good+",", 16) + good + "]", "16 are taken"},
		"very long":              {"[" + strings.Repeat(" ", 1<<20) + "]", "1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			status, answer := f.upload(fields{{"attestations", tt.attestations}}, wheelFile, content)
			if status != http.StatusBadRequest || !strings.Contains(answer, tt.want) {
				t.Errorf("%d %q, want 400 with %q", status, answer, tt.want)
			}
			f.get(http.StatusNotFound, "/simple/my-pkg/")
		})
	}
}
