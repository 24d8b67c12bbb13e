package admin

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry/audit"
)

// Operations on the record of all changes.
const (
	AuditList   Name[AuditListParams, []Record]       = "audit.list"
	AuditVerify Name[AuditVerifyParams, audit.Report] = "audit.verify"
)

// AuditListParams select records.
type AuditListParams struct {
	Page
	Principal string    `json:"principal,omitempty" doc:"who did it: user:NAME, service:NAME, …"`
	Repo      string    `json:"repo,omitempty" doc:"a name, or a name and /** for it and all below it"`
	Namespace string    `json:"namespace,omitempty"`
	Action    string    `json:"action,omitempty" doc:"manifest.put, or manifest for all that is done to one"`
	Since     time.Time `json:"since,omitzero" doc:"not before"`
	Until     time.Time `json:"until,omitzero" doc:"before"`
	Order     string    `json:"order,omitempty" enum:",newest,id" doc:"empty for by time, newest for by time backwards, id for as they were committed, which never comes before what was listed"`
}

// AuditVerifyParams say whom to believe.
type AuditVerifyParams struct {
	Keys []string `json:"keys,omitempty" doc:"the public keys that may sign checkpoints: base64 of DER; none for the keys that checkpoints name themselves"`
}

// Record is what was done to what, by whom, from where.
type Record struct{ audit.Record }

func (r Record) key() string { return strconv.FormatInt(r.ID, 10) }

func auditList(ctx context.Context, env *Env, p AuditListParams) ([]Record, error) {
	after, err := afterNumber(p.Page)
	if err != nil {
		return nil, err
	}
	list, err := env.Audit.List(ctx, audit.Filter{
		Principal: p.Principal, Repo: p.Repo, Namespace: p.Namespace, Action: p.Action, Since: p.Since, Until: p.Until,
		After: after, Limit: p.size(), Order: audit.Order(p.Order),
	})
	return convert(list, func(r audit.Record) Record { return Record{r} }), err
}

// afterNumber reads a page's beginning in a list whose keys are numbers.
func afterNumber(p Page) (int64, error) {
	if p.After == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(p.After, 10, 64)
	if err != nil {
		return 0, badParameter(err, "after: %q is not where a page ended", p.After)
	}
	return n, nil
}

func auditVerify(ctx context.Context, env *Env, p AuditVerifyParams, progress Report) (audit.Report, error) {
	o := audit.VerifyOptions{Progress: func(records int64) {
		progress(Progress{Phase: "verify", Done: records, Unit: "records"})
	}}
	for _, text := range p.Keys {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return audit.Report{}, badParameter(err, "keys: %q is not base64", text)
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return audit.Report{}, badParameter(err, "keys: %q is no public key", text)
		}
		signer, ok := key.(ed25519.PublicKey)
		if !ok {
			return audit.Report{}, badParameter(nil, "keys: %q is no Ed25519 key", text)
		}
		o.Keys = append(o.Keys, signer)
	}
	return env.Audit.Verify(ctx, o)
}
