// Package oidc runs an OpenID Connect issuer (zitadel/oidc's server) beside the real packhouse binary: people log in
// with a browser by it, and CI jobs publish by the ID tokens that it signs, with the clients that real jobs run.
//
// The issuer is on loopback, which the server is told to allow; nothing leaves the machine.
package oidc
