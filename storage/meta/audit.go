package meta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/packhouse/packhouse/registry"
)

// AuditRecord is what was done to what. Who did it and from where is known
// from the context.
type AuditRecord struct {
	Action    string // "noun.verb": "manifest.put", "tag.delete", "grant.add"
	Repo      registry.Repo
	RepoID    int64  // 0: the record is of the namespace or of the whole registry
	Namespace string // "" for none and for the root namespace
	Tag       registry.Tag
	Digest    registry.Digest
	Before    registry.Digest // what was there before
	Detail    map[string]string
}

// The chains that belong to no repository and no namespace.
const (
	ChainAccess  = "access"  // of the whole registry
	ChainDenials = "denials" // what was refused
)

// What a client can make a record hold of its own words.
const (
	maxAuditText   = 200
	maxAuditDetail = 1000 // each value
)

// Record writes what was done into the audit, as a part of the change. It goes
// into the chain of the repository, else of the namespace, else of the whole
// registry.
func (t *Tx) Record(ctx context.Context, a AuditRecord) error {
	chain := ChainAccess
	switch {
	case a.RepoID != 0:
		chain = "r" + strconv.FormatInt(a.RepoID, 10)
	case a.Namespace != "":
		var id int64
		switch err := t.one(ctx, `SELECT id FROM namespaces WHERE name = ?`, []any{a.Namespace}, &id); {
		case err == nil:
			chain = "n" + strconv.FormatInt(id, 10)
		case !errors.Is(err, ErrNotFound):
			return err
		}
	}
	return t.record(ctx, chain, registry.CallerOf(ctx), a)
}

// RecordDenial writes what was refused to who, into a chain of its own.
func (t *Tx) RecordDenial(ctx context.Context, who *registry.Caller, a AuditRecord) error {
	return t.record(ctx, ChainDenials, who, a)
}

func (t *Tx) record(ctx context.Context, chain string, who *registry.Caller, a AuditRecord) error {
	detail, err := auditDetail(a.Detail)
	if err != nil {
		return err
	}
	row := AuditRow{
		Chain: chain, At: time.UnixMilli(millis(t.now)).UTC(), Action: a.Action,
		Principal: clipText(who.Principal), Token: clipText(who.Token), Subject: clipDetail(who.Subject),
		Address: clipText(who.Address), Client: clipText(who.Client), Route: clipText(who.Route), RequestID: clipText(who.RequestID),
		RepoID: a.RepoID, Repo: a.Repo, Namespace: a.Namespace, Tag: a.Tag, Digest: a.Digest, Before: a.Before,
		Detail: detail,
	}
	if row.Principal == "" {
		row.Principal = auditServer
	}
	var before []byte
	// One statement, and an answer for a new chain, too.
	err = t.one(ctx, `SELECT coalesce((SELECT max(id) FROM audit), 0) + 1, coalesce(h.seq, 0) + 1, h.hash
		FROM (SELECT ? AS chain) c LEFT JOIN audit_heads h ON h.chain = c.chain`, []any{chain}, &row.ID, &row.Seq, &before)
	if err != nil {
		return err
	}
	row.Hash = row.Sum(before)
	_, err = t.exec(ctx, `INSERT INTO audit (id, chain, seq, at, action, principal, token, subject, address, client, route, request_id,
			repository_id, repository, namespace, tag, digest, digest_before, detail, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		row.ID, row.Chain, row.Seq, millis(row.At), row.Action, row.Principal, row.Token, row.Subject, row.Address, row.Client, row.Route, row.RequestID,
		row.RepoID, string(row.Repo), row.Namespace, string(row.Tag), string(row.Digest), string(row.Before), row.Detail, row.Hash)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO audit_heads (chain, seq, hash) VALUES (?, ?, ?)
		ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`, chain, row.Seq, row.Hash)
	if err != nil {
		return err
	}
	t.recorded = true
	return nil
}

// auditServer is who does what nobody asked for.
const auditServer = "server"

// AuditRow is one record as it is kept.
type AuditRow struct {
	ID     int64 // in the order of commits
	Chain  string
	Seq    int64
	At     time.Time
	Action string

	Principal, Token, Subject         string // who
	Address, Client, Route, RequestID string // from where, how

	RepoID    int64
	Repo      registry.Repo
	Namespace string
	Tag       registry.Tag
	Digest    registry.Digest
	Before    registry.Digest
	Detail    string // JSON object of texts, "" for none

	Hash []byte // what Sum gives
}

// Sum hashes the row and the hash of the row before it in its chain, none for
// the first: SHA-256 over the fields in the order of the schema, each after
// its length in eight bytes, numbers as eight bytes, all big-endian.
func (r *AuditRow) Sum(before []byte) []byte {
	b := make([]byte, 0, 1024)
	field := func(s string) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) {
		b = binary.BigEndian.AppendUint64(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	field("packhouse audit 1")
	field(string(before))
	number(r.ID)
	field(r.Chain)
	number(r.Seq)
	number(millis(r.At))
	for _, s := range [...]string{r.Action, r.Principal, r.Token, r.Subject, r.Address, r.Client, r.Route, r.RequestID} {
		field(s)
	}
	number(r.RepoID)
	for _, s := range [...]string{string(r.Repo), r.Namespace, string(r.Tag), string(r.Digest), string(r.Before), r.Detail} {
		field(s)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

func auditDetail(detail map[string]string) (string, error) {
	if len(detail) == 0 {
		return "", nil
	}
	clipped := make(map[string]string, len(detail))
	for k, v := range detail {
		clipped[k] = clipDetail(v)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b) // keys in order
	e.SetEscapeHTML(false)
	if err := e.Encode(clipped); err != nil {
		return "", fmt.Errorf("audit detail: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func clipText(s string) string   { return clip(s, maxAuditText) }
func clipDetail(s string) string { return clip(s, maxAuditDetail) }

// clip cuts s to at most n bytes of whole characters.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return postgresString(s) // or the hash would not be of what is stored
}
