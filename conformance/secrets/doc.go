// Package secrets sends secrets of every kind wherever the real packhouse binary takes one, right and wrong, and then
// looks for them in everything that it writes and shows: logs at debug level, metrics, profiles, errors, what its commands
// print, the audit and its checkpoints, and every byte of its data directory, the database's log included.
//
// The server talks to an OpenID Connect issuer and an LDAP directory of the test's own, on loopback, which are as
// unhelpful as they can be: their errors repeat what they were sent.
//
// Each search has its counterpart: a value that must be found, since that place is meant to show it.
package secrets
