// Package egress opens the connections that the server makes of its own
// accord: to OpenID Connect issuers, and to whatever else a configuration, a
// rule or a client names. Everything that dials out does so through a [Dialer].
//
// It is not a firewall: it keeps whoever may name a URL from reaching what
// only this machine can reach.
//
//	URL ── Client ── name ──► all its addresses ── each public or allowed? ──► dial exactly those
//
// Invariants:
//
//   - A name is resolved once; the addresses that were checked are those that
//     are dialled, so an answer cannot change in between.
//   - One address that is refused refuses the name: a name that is public and
//     private at once is a trick, not a service.
//   - What is not known to be public is refused.
//   - Redirects are few, each goes through the same dialer, none leaves https,
//     and none carries credentials to another origin.
//   - Proxies of the environment are not used.
package egress
