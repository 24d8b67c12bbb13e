package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/audit"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List, export and verify the record of all changes",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(auditListCommand(), auditExportCommand(), auditVerifyCommand())
	return cmd
}

// auditFilter adds the flags that select records.
func auditFilter(cmd *cobra.Command) func() (admin.AuditListParams, error) {
	var p admin.AuditListParams
	var since, until string
	f := cmd.Flags()
	f.StringVar(&p.Principal, "principal", "", "who did it: user:alice, service:ci, …")
	f.StringVar(&p.Repo, "repo", "", "a repository, or a name and /** for it and all below it")
	f.StringVar(&p.Namespace, "namespace", "", "a namespace")
	f.StringVar(&p.Action, "action", "", "manifest.put, or manifest for all that is done to one")
	f.StringVar(&since, "since", "", "a time (2026-01-31 or 2026-01-31T12:00:00Z), or how long ago: 24h, 7d")
	f.StringVar(&until, "until", "", "likewise: records from before it")
	return func() (_ admin.AuditListParams, err error) {
		if p.Since, err = moment("since", since, time.Now()); err != nil {
			return p, err
		}
		p.Until, err = moment("until", until, time.Now())
		return p, err
	}
}

// moment reads a time, or how long it is ago.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	ago, err := parseDuration(text)
	if err != nil {
		return time.Time{}, usageError(fmt.Errorf("--%s: %q is neither a time, such as 2026-01-31, nor how long ago, such as 24h or 7d", flag, text))
	}
	return now.Add(-ago), nil
}

func auditListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was done, the latest first",
		Example: `  packhouse audit list
  packhouse audit list --repo 'acme/**' --since 7d
  packhouse audit list --principal user:alice --action grant`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	filter := auditFilter(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "the most to list, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := filter()
		if err != nil {
			return err
		}
		p.Order, p.Limit = string(audit.Newest), limit
		list, err := operate(cmd.Context(), o, admin.AuditList, p)
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"TIME", "WHO", "FROM", "ACTION", "WHAT"}}
			for _, r := range list {
				rows = append(rows, []string{when(r.Time), r.Principal, orDash(r.Address), r.Action, orDash(recordText(r))})
			}
			return table(w, rows)
		})
	}
	return cmd
}

// recordText says what a record is about.
func recordText(r admin.Record) string {
	what := string(r.Repo)
	if what == "" {
		what = r.Namespace
	}
	if r.Tag != "" {
		what += ":" + string(r.Tag)
	}
	if r.Digest != "" {
		what += "@" + r.Digest.Encoded()[:min(12, len(r.Digest.Encoded()))]
	}
	if len(r.Detail) > 0 {
		what += " " + shownClaims(r.Detail)
	}
	return strings.TrimSpace(what)
}

func auditExportCommand() *cobra.Command {
	var after string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write records as JSON lines, for OpenSearch or a SIEM",
		Long: `Write records to standard output as JSON lines with the field names of the Elastic
Common Schema, in the order in which they were committed. The last id goes to
standard error: the next export goes on there with --after.`,
		Example: `  packhouse audit export > audit.jsonl
  packhouse audit export --after 48113 >> audit.jsonl`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	filter := auditFilter(cmd)
	cmd.Flags().StringVar(&after, "after", "", "id of the last record that was exported before")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := filter()
		if err != nil {
			return err
		}
		p.Order, p.After = string(audit.ByID), after
		lines := json.NewEncoder(cmd.OutOrStdout())
		lines.SetEscapeHTML(false)
		last := after
		err = o.with(cmd.Context(), func(c admin.Caller) error {
			for {
				page, err := admin.Call(cmd.Context(), c, admin.AuditList, p, nil)
				if err != nil || len(page) == 0 {
					return err
				}
				for _, r := range page {
					e := r.Event()
					if err := lines.Encode(e); err != nil {
						return err
					}
					last = e.ID
				}
				p.After = last
			}
		})
		if last != after || err == nil && last != "" {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "the last record is %s\n", last)
		}
		return err
	}
	return cmd
}

func auditVerifyCommand() *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find out whether records were changed or removed",
		Long: `Read all records and compare them with their hash chains and with the signed
checkpoints. Whoever can write both the database and the checkpoints is found out
only with the keys that may sign them (--key), kept elsewhere.

It exits with 3 when something is wrong.`,
		Example: `  packhouse audit verify
  packhouse audit verify --key checkpoint.pub`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().StringArrayVar(&keys, "key", nil, "PEM file with a public key that may sign checkpoints; can be given several times")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var p admin.AuditVerifyParams
		for _, file := range keys {
			key, err := readPublicKey(file)
			if err != nil {
				return usageError(err)
			}
			p.Keys = append(p.Keys, key)
		}
		r, err := operate(cmd.Context(), o, admin.AuditVerify, p)
		if err != nil {
			return err
		}
		if err := o.print(r, func(w io.Writer) error { return printVerified(w, r) }); err != nil || r.OK() {
			return err
		}
		return &exitError{exitDamage, errors.New("the audit is not as it was written")}
	}
	return cmd
}

func readPublicKey(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read a key: %w", err)
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PUBLIC KEY" {
		return "", fmt.Errorf("%s has no public key (PEM)", file)
	}
	return base64.StdEncoding.EncodeToString(block.Bytes), nil
}

func printVerified(w io.Writer, r audit.Report) error {
	rows := [][]string{}
	for _, p := range r.Problems {
		where := p.Checkpoint
		if p.Chain != "" {
			where = strings.TrimSpace(where + " " + fmt.Sprintf("%s/%d", p.Chain, p.Seq))
		}
		rows = append(rows, []string{where, p.Message})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "verified %d records in %d chains and %d checkpoints: %d problems\n", r.Records, r.Chains, r.Checkpoints, int64(len(r.Problems))+r.More)
	if err == nil && r.Checkpoints > 0 {
		_, err = fmt.Fprintf(w, "the latest checkpoint is of %s, signed by %s; %d records came since\n", when(r.Through), strings.Join(r.Signers, ", "), r.Uncovered)
	}
	return err
}
