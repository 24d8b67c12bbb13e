package engine

import (
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// The tree that the distribution project's registry keeps under its
// rootdirectory, which is our data directory once it is adopted:
//
//	/docker/registry/v2/blobs/<algorithm>/<2 hex>/<hex>/data
//	/docker/registry/v2/repositories/<name>/
//		_layers/<algorithm>/<hex>/link               a blob the repository shows
//		_manifests/revisions/<algorithm>/<hex>/link  a manifest it shows
//		_manifests/tags/<tag>/current/link           a digest
//		_manifests/tags/<tag>/index/…                earlier ones, not read
//		_uploads/<id>/{data,startedat,hashstates/…}  unfinished, not read
//
// A link's path names a digest and so does its content. They differ where a
// blob was pushed by another digest than sha256: blobs keeps it by sha256 only.
const (
	oldRegistry     = "/docker/registry/v2"
	oldRepositories = oldRegistry + "/repositories"
)

func oldBlobKey(d registry.Digest) string {
	return oldRegistry + "/blobs/" + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

func oldLinkKey(kind oldKind, repository registry.Repo, d registry.Digest) string {
	return oldRepositories + "/" + string(repository) + "/" + string(kind) + "/" + d.Algorithm().String() + "/" + d.Encoded() + "/link"
}

// oldKind is what a file of a repository means: the folder it is in.
type oldKind string

const (
	oldLayer    oldKind = "_layers"
	oldManifest oldKind = "_manifests/revisions"
	oldTag      oldKind = "_manifests/tags"
	oldUpload   oldKind = "_uploads"
)

// oldFile is one file of a repository that matters here.
type oldFile struct {
	kind       oldKind
	repository string // as found: any path
	key        string
	size       int64
	name       string // <algorithm>:<hex> of a layer or manifest, a tag, or an upload's id
}

// oldFolder tells which folder of a repository dir is: "_layers",
// "_manifests", "_uploads", or "index" for that of a tag; "" for any other.
func oldFolder(dir string) string {
	rest := strings.TrimPrefix(dir, oldRepositories)
	at := strings.Index(rest, "/_")
	if at < 0 {
		return "" // a part of a name, whatever it is called
	}
	switch p := strings.Split(rest[at+1:], "/"); {
	case len(p) == 1:
		return p[0]
	case len(p) == 4 && p[0] == "_manifests" && p[1] == "tags" && p[3] == "index":
		return "index"
	}
	return ""
}

// parseOldFile reads the key of a file under [oldRepositories]. ok is false
// for files that say nothing.
func parseOldFile(key string, size int64) (f oldFile, ok bool) {
	rest := strings.TrimPrefix(key, oldRepositories)
	at := strings.Index(rest, "/_") // no legal name has a segment that begins so
	if at < 0 {
		return f, false
	}
	f = oldFile{repository: strings.TrimPrefix(rest[:at], "/"), key: key, size: size}
	switch p := strings.Split(rest[at+1:], "/"); {
	case len(p) > 1 && p[0] == "_uploads":
		f.kind, f.name = oldUpload, p[1]
	case len(p) == 4 && p[0] == "_layers" && p[3] == "link":
		f.kind, f.name = oldLayer, p[1]+":"+p[2]
	case len(p) == 5 && p[0] == "_manifests" && p[1] == "revisions" && p[4] == "link":
		f.kind, f.name = oldManifest, p[2]+":"+p[3]
	case len(p) == 5 && p[0] == "_manifests" && p[1] == "tags" && p[3] == "current" && p[4] == "link":
		f.kind, f.name = oldTag, p[2]
	default:
		return f, false
	}
	return f, true
}
