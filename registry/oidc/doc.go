// Package oidc lets others vouch for who is asking: an OpenID Connect provider
// for people who log in with a browser, and the issuers of CI systems for jobs
// that publish without a stored secret (trusted publishing).
//
// It decides nothing about repositories: for a job it finds the trust rule that
// its ID token fits, for a person the user, and has [auth.Service] mint a token
// for them. Package server mounts its [Service]; formats reach it through their
// own exchanges.
//
//	ID token ── issuer named by a rule? ── signature, audience, times ── claims fit the rule ──► token of 15 minutes
//
//	client ── Begin ──► page ──┬── user name and password ──────────────────────┬──► Done ──► token, once
//	                           └── provider: code + PKCE, state, nonce ── user ──┘
//
// Invariants:
//
//   - A token whose issuer no rule names makes this server fetch nothing.
//   - Issuers, audiences, subjects and claims are compared exactly and as text;
//     a wildcard is one only in a rule.
//   - A person is known by issuer and subject, which stay, never by a name,
//     which does not: nobody becomes a user that is there by having its name.
//   - Everything is fetched through package egress, no redirect is followed, and
//     no answer is longer than 256 KiB.
//   - What is exchanged for a token is never a token of ours: no narrow one
//     becomes a wide one.
//   - Rows of log-ins under way hold hashes and sealed texts alone.
package oidc
