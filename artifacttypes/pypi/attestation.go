package pypi

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// attestation is PEP 740's attestation object.
type attestation struct {
	Version  int `json:"version"`
	Material struct {
		Certificate []byte            `json:"certificate"` // DER
		Entries     []json.RawMessage `json:"transparency_entries"`
	} `json:"verification_material"`
	Envelope struct {
		Statement []byte `json:"statement"` // in-toto, JSON
		Signature []byte `json:"signature"`
	} `json:"envelope"`
}

// statement is an in-toto statement, v1.
type statement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string `json:"predicateType"`
}

const (
	statementType    = "https://in-toto.io/Statement/v1"
	payloadType      = "application/vnd.in-toto+json" // of the DSSE envelope
	mostAttestations = 16
)

// subject is the distribution that an attestation must be about.
type subject struct {
	file   string
	sha256 string
	*fileFacts
}

// verified is an attestation that holds for its subject.
type verified struct {
	raw       json.RawMessage
	predicate string // type
	signer    string // the certificate's first subject alternative name, ""  for none
}

// verify checks that raw is an attestation of s, signed with the key of the
// certificate in it. Whose certificate that is, and who vouches for it, is for
// policies and for those who install to decide.
func (s *subject) verify(raw json.RawMessage) (verified, error) {
	bad := func(format string, a ...any) (verified, error) {
		return verified{}, artifacttypes.Invalid("an attestation of "+s.file+" "+format, a...)
	}
	var a attestation
	if err := decodeStrict(raw, &a); err != nil {
		return bad("is not PEP 740's object: %s", registry.Public(err).Message)
	}
	if a.Version != 1 {
		return bad("has version %d: 1 is understood", a.Version)
	}
	if len(a.Material.Entries) == 0 {
		return bad("has no entry of a transparency log")
	}
	certificate, err := x509.ParseCertificate(a.Material.Certificate)
	if err != nil {
		return bad("has no X.509 certificate in DER")
	}
	algorithm, ok := algorithms[certificate.PublicKeyAlgorithm]
	if !ok {
		return bad("is signed with %s, which is not supported", certificate.PublicKeyAlgorithm)
	}
	if err := certificate.CheckSignature(algorithm, preAuthentication(a.Envelope.Statement), a.Envelope.Signature); err != nil {
		return bad("is not signed with the key of its certificate")
	}
	var t statement
	if checkJSON(a.Envelope.Statement) != nil || json.Unmarshal(a.Envelope.Statement, &t) != nil || t.Type != statementType {
		return bad("holds no in-toto statement v1")
	}
	switch {
	case t.PredicateType == "":
		return bad("has no predicate type")
	case len(t.Subject) != 1 || !s.isCalled(t.Subject[0].Name):
		return bad("is about another file")
	case t.Subject[0].Digest["sha256"] != s.sha256:
		return bad("is about other content: sha256 %s, the file has %s", clip(t.Subject[0].Digest["sha256"]), s.sha256)
	}
	return verified{raw: raw, predicate: t.PredicateType, signer: signerOf(certificate)}, nil
}

var algorithms = map[x509.PublicKeyAlgorithm]x509.SignatureAlgorithm{
	x509.ECDSA: x509.ECDSAWithSHA256, x509.Ed25519: x509.PureEd25519, x509.RSA: x509.SHA256WithRSA,
}

// preAuthentication is what a DSSE signature is made of.
func preAuthentication(statement []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
}

// isCalled tells whether name is the distribution's, in any of its spellings.
func (s *subject) isCalled(name string) bool {
	if name == s.file {
		return true
	}
	k, err := kindOf(name)
	if err != nil || k != s.Kind {
		return false
	}
	if k == sdistKind {
		return sdistIs(name, s.Name, s.Version) && strings.HasSuffix(name, ".zip") == strings.HasSuffix(s.file, ".zip")
	}
	one, err := parseWheelName(name)
	other, otherErr := parseWheelName(s.file)
	return err == nil && otherErr == nil && one.key() == other.key()
}

func signerOf(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	}
	return ""
}

// referrers makes referrers of the form's attestations, each for itself.
func (f *form) referrers(facts *fileFacts) ([]artifacttypes.Referrer, error) {
	if f.attestations == nil {
		return nil, nil
	}
	var list []json.RawMessage
	if err := decodeStrict(f.attestations, &list); err != nil {
		return nil, err
	}
	if len(list) > mostAttestations {
		return nil, artifacttypes.Invalid("%s has %d attestations: %d are taken", f.file, len(list), mostAttestations)
	}
	s := &subject{f.file, f.content.Descriptor().Digest.Encoded(), facts}
	seen := map[string]bool{}
	var referrers []artifacttypes.Referrer
	for _, raw := range list {
		a, err := s.verify(raw)
		if err != nil {
			return nil, err
		}
		if seen[a.predicate] {
			return nil, artifacttypes.Invalid("%s has two attestations of the type %s", f.file, clip(a.predicate))
		}
		seen[a.predicate] = true
		referrers = append(referrers, artifacttypes.Referrer{
			ArtifactType: attestationType, MediaType: attestationType, Title: f.file + "." + predicateWord(a.predicate) + ".attestation",
			Content: raw, Annotations: map[string]string{registry.AnnotationFile: f.file},
		})
	}
	return referrers, nil
}

// predicateWord is what files of a predicate's type are named by: "publish" of
// https://docs.pypi.org/attestations/publish/v1.
func predicateWord(predicate string) string {
	parts := strings.Split(strings.TrimRight(predicate, "/"), "/")
	word := parts[len(parts)-1]
	if version := strings.TrimPrefix(word, "v"); len(parts) > 1 && len(version) < len(word) && numeric(strings.ReplaceAll(version, ".", "")) {
		word = parts[len(parts)-2]
	}
	if word == "" || !plainName(word) {
		return base64.RawURLEncoding.EncodeToString([]byte(clip(predicate)))
	}
	return word
}
