// Package npm is the npm registry protocol, as npm, pnpm, Yarn and bun speak
// it, over OCI artifacts.
//
// A package is a repository, a version is a tag in it, a dist-tag is another
// tag:
//
//	@acme/widget          FEED/acme/widget
//	1.0.0                 FEED/acme/widget:1.0.0
//	latest                FEED/acme/widget:latest
//	widget-1.0.0.tgz      the manifest's one layer
//	provenance            a referrer with the Sigstore bundle as its layer
//
// What a version is comes from the package.json in its tarball. The publish
// body's copy of it is compared in what decides an installation, and refused
// where it says something else. Deprecations, stars and maintainers are state.
//
// Versions that differ only in their build metadata are one version, as they
// are to npm: the metadata is cut off.
//
// The protocol's documents: https://github.com/npm/registry/tree/main/docs.
// They are old; where they are silent the clients' requests are the protocol.
package npm
