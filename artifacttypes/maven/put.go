package maven

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	maxDropped = 64 << 20 // bytes of metadata that a client sends in vain
	maxSum     = 4 << 10  // bytes of a checksum file
)

// put stores a file of a release. What can be refused for the path, the length
// or a header is refused before the body is read, so that a client that asks
// first (Expect: 100-continue) does not send it.
func put(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	path := r.PathValue("path")
	p, err := parsePath(path)
	switch {
	case err != nil:
		return err
	case p.file == "" && strings.HasSuffix(path, "/"):
		return registry.E("maven.put", registry.Unsupported, nil, "a directory cannot be stored: send its files").
			WithDetail(artifacttypes.Methods{http.MethodGet, http.MethodHead, http.MethodDelete})
	case p.file == "":
		return artifacttypes.Invalid("%q does not follow the repository layout: want GROUP/ARTIFACT/VERSION/ARTIFACT-VERSION[-CLASSIFIER].EXT", clip(path))
	case p.suffix == "":
		return drop(w, r)
	}
	if err := v.Account().Allow(r.Context(), registry.Create, p.pkg()); err != nil {
		return err
	}
	if len(p.sums) > 0 {
		return putSum(w, r, v, p)
	}
	if err := p.checkPut(v.Setting(settingPolicy)); err != nil {
		return err
	}
	if isSnapshot(p.Version) {
		return putLiteral(w, r, v, p)
	}
	return putFile(w, r, v, p)
}

// checkPut refuses what may not be published here.
func (p place) checkPut(policy string) error {
	b, isBuild := parseBuild(p.Version)
	switch {
	case isBuild && p.dir[len(p.dir)-1] == p.Version:
		return artifacttypes.Invalid("%s is a build of %s: its directory is %s", p.Version, b.Base, b.Base)
	case policy == "release" && (isBuild || isSnapshot(p.Version)):
		return artifacttypes.Invalid("this repository takes releases only, and %s is a snapshot", p.Version)
	case policy == "snapshot" && !isBuild && !isSnapshot(p.Version):
		return artifacttypes.Invalid("this repository takes snapshots only, and %s is a release", p.Version)
	}
	return nil
}

// drop takes what is made here from what is stored.
func drop(w http.ResponseWriter, r *http.Request) error {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxDropped)); err != nil {
		return bodyError(err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// bodyError is a failure to read a body that is not stored.
func bodyError(err error) error {
	return registry.E("maven.put", registry.SizeInvalid, err, "the body did not arrive whole: send it again")
}

// putSum compares a checksum with the stored file's and drops it.
func putSum(w http.ResponseWriter, r *http.Request, v artifacttypes.View, p place) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSum))
	if err != nil {
		return bodyError(err)
	}
	c, err := find(r.Context(), v, p)
	if err != nil && !absent(err) {
		return err
	}
	if err == nil {
		sent, _, _ := strings.Cut(strings.TrimSpace(string(body)), " ") // a file name may follow
		if want := c.sum(p.sums); !strings.EqualFold(sent, want) {
			return artifacttypes.Invalid("the %s that was sent for %s is %q, but what is stored has %s: send the file again", p.sums[len(p.sums)-1], p.file, clip(sent), want)
		}
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func putFile(w http.ResponseWriter, r *http.Request, v artifacttypes.View, p place) error {
	ctx := r.Context()
	d := artifacttypes.Draft{Package: p.pkg(), Version: p.Version}
	release, err := v.Release(ctx, d.Package, d.Version)
	if err != nil && !absent(err) {
		return err
	}
	if err == nil {
		files, err := filesOf(release)
		if err != nil {
			return err
		}
		if f, ok := files.file(p.file); ok {
			return putAgain(w, r, f, p)
		}
		// A jar that was pushed alone keeps its POM when other files join it.
		if text := files.embedded(); text != nil && p.suffix != ".pom" {
			staged, err := v.Stage(ctx, bytes.NewReader(text))
			if err != nil {
				return err
			}
			defer staged.Discard()
			d.Files = append(d.Files, draftFile(p.stem(), ".pom", staged))
		}
	}
	staged, err := stage(r, v, p)
	if err != nil {
		return err
	}
	defer staged.Discard()
	d.Files = append(d.Files, draftFile(p.stem(), p.suffix, staged))
	b, isBuild := parseBuild(p.Version)
	isBuild = isBuild && p.suffix == ".pom"
	if isBuild {
		if d.Labels, err = labelsOf(ctx, v, d.Package, b); err != nil {
			return err
		}
	}
	if _, err := v.Publish(ctx, d); err != nil {
		return err
	}
	if isBuild {
		tidy(ctx, v, d.Package, b)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func draftFile(stem, suffix string, content artifacttypes.Staged) artifacttypes.DraftFile {
	classifier, extension := splitSuffix(suffix)
	annotations := map[string]string{"dev.packhouse.maven.extension": extension}
	if classifier != "" {
		annotations["dev.packhouse.maven.classifier"] = classifier
	}
	return artifacttypes.DraftFile{Name: stem + suffix, MediaType: layerType(suffix), Annotations: annotations, Content: content}
}

// putAgain answers for a file that is there: the same again is fine.
func putAgain(w http.ResponseWriter, r *http.Request, f registry.File, p place) error {
	if r.Header.Get("If-None-Match") == "*" {
		return registry.E("maven.put", registry.PreconditionFailed, nil, "%s exists, which the request's precondition excludes", p.file)
	}
	conflict := registry.E("maven.put", registry.VersionExists, nil,
		"%s is there with other content, and a published file does not change: publish another version than %s", p.file, p.Version)
	if r.ContentLength >= 0 && r.ContentLength != f.Size || differs(r.Header, f.Facts.Sums) != "" {
		return conflict
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(r.Body, f.Size+1)); err != nil {
		return bodyError(err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != f.Facts.Sums["sha256"] {
		return conflict
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// stage stores the body and holds it to the checksums in the header.
func stage(r *http.Request, v artifacttypes.View, p place) (artifacttypes.Staged, error) {
	staged, err := v.Stage(r.Context(), r.Body)
	if err != nil {
		return nil, err
	}
	if algorithm := differs(r.Header, staged.Sums()); algorithm != "" {
		staged.Discard()
		return nil, artifacttypes.Invalid("%s arrived with another %s than its X-Checksum header says: send it again", p.file, algorithm)
	}
	return staged, nil
}

// differs names the checksum in the header that sums has with another value.
func differs(h http.Header, sums map[string]string) string {
	for _, algorithm := range []string{"sha256", "sha1", "md5", "sha512"} {
		if sent := h.Get("X-Checksum-" + algorithm); sent != "" && !strings.EqualFold(sent, sums[algorithm]) {
			return algorithm
		}
	}
	return ""
}
