// Package pypi serves Python packages: wheels and source distributions.
//
// A release is one version of a project with all its files:
//
//	repository  NAMESPACE/pypi/my-pkg          the PEP 503 name
//	tag         1-2.0_cu12                     of 1!2.0+cu12, the PEP 440 canonical version
//	layers      my_pkg-2.0-py3-none-any.whl    application/vnd.packhouse.pypi.wheel.v1+zip
//	            my_pkg-2.0.tar.gz              application/vnd.packhouse.pypi.sdist.v1.tar+gzip
//	            my_pkg-2.0.zip                 application/vnd.packhouse.pypi.sdist.v1+zip
//	            WHEEL.metadata                 application/vnd.packhouse.pypi.metadata.v1
//	            FILE.asc                       application/pgp-signature
//	referrers   one per PEP 740 attestation    application/vnd.packhouse.pypi.attestation.v1+json
//
// What a layer is follows from its title and its content, so any media type
// does for a push by OCI, and a wheel is enough: its METADATA is served out of
// the facts where no layer holds it.
//
// The protocol is the simple repository API of packaging.python.org (PEP 503,
// 592, 629, 658, 691, 700, 714, 740, 792) and the upload form that its clients
// share, which no standard describes:
//
//	POST /, /legacy/                           upload
//	GET  /simple/, /simple/PKG/                HTML or JSON, by Accept
//	GET  /files/PKG/VERSION/FILE               and FILE.metadata, FILE.asc
//	GET  /integrity/PKG/VERSION/FILE/provenance
//	GET  /pypi/PKG/json, /pypi/PKG/VERSION/json
//	POST /-/yank, PUT /-/status                of our own: no standard has them
//
// State of a release: "yanked", "yanked-reason", and "provenance:FILE" for
// each file whose attestations are here. State of a package: "status",
// "status-reason" (PEP 792).
//
// Archives are read by a reader of our own for zip and by archive/tar, both
// within the limits in limit.go; nothing is unpacked but the metadata.
package pypi
