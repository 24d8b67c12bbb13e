package pypi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const maxReason = 1000 // bytes

// yankRequest is the body of POST /-/yank.
type yankRequest struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Yanked  *bool  `json:"yanked,omitempty"` // true if absent
	Reason  string `json:"reason,omitempty"`
}

// yank marks a release as one that installers take only when it is asked for
// by its exact version, or unmarks it: PEP 592.
func yank(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	var q yankRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	name, ok := canonicalName(q.Name)
	if !ok {
		return artifacttypes.Invalid("%q is not the name of a project", clip(q.Name))
	}
	version, ok := canonicalVersion(q.Version)
	if !ok {
		return artifacttypes.Invalid("%q is not a version of PEP 440", clip(q.Version))
	}
	yanked := q.Yanked == nil || *q.Yanked
	if !yanked && q.Reason != "" {
		return artifacttypes.Invalid("a reason goes with yanked: true only")
	}
	if err := checkReason(q.Reason); err != nil {
		return err
	}
	state := map[bool]string{true: "true"}[yanked]
	err := v.Change(r.Context(), name,
		registry.SetState{Version: version, Key: yankedKey, Value: state},
		registry.SetState{Version: version, Key: yankedReasonKey, Value: q.Reason})
	if errors.Is(err, registry.NameUnknown) || errors.Is(err, registry.ManifestUnknown) {
		return registry.E("pypi.yank", registry.NameUnknown, err, "there is no %s %s here", name, version)
	}
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, yankRequest{Name: name, Version: version, Yanked: &yanked, Reason: q.Reason})
}

// statusRequest is the body of PUT /-/status.
type statusRequest struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

var statuses = []string{statusActive, statusArchived, statusQuarantined, statusDeprecated}

// setStatus sets a project's status: PEP 792.
func setStatus(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	var q statusRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	name, ok := canonicalName(q.Name)
	if !ok {
		return artifacttypes.Invalid("%q is not the name of a project", clip(q.Name))
	}
	if !slices.Contains(statuses, q.Status) {
		return artifacttypes.Invalid("%q is not a status: want one of %s", clip(q.Status), strings.Join(statuses, ", "))
	}
	if err := checkReason(q.Reason); err != nil {
		return err
	}
	state := q.Status
	if state == statusActive {
		state = ""
	}
	err := v.Change(r.Context(), name, registry.SetState{Key: statusKey, Value: state}, registry.SetState{Key: statusReasonKey, Value: q.Reason})
	if errors.Is(err, registry.NameUnknown) {
		return registry.E("pypi.setStatus", registry.NameUnknown, err, "there is no project %s here", name)
	}
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusOK, statusRequest{Name: name, Status: q.Status, Reason: q.Reason})
}

// takesFiles refuses uploads to projects whose status does. A project that is
// not there yet is active.
func takesFiles(r *http.Request, v artifacttypes.View, name string) error {
	p, err := v.Package(r.Context(), name)
	if errors.Is(err, registry.NameUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if status := p.State[statusKey]; status == statusArchived || status == statusQuarantined {
		return registry.E("pypi.upload", registry.Denied, nil, "%s", statusSentence(p))
	}
	return nil
}

func statusSentence(p *registry.Package) string {
	sentence := "the project " + p.Name + " is " + p.State[statusKey]
	if reason := p.State[statusReasonKey]; reason != "" {
		sentence += ": " + reason
	}
	return sentence
}

func checkReason(reason string) error {
	if len(reason) > maxReason || reason != strings.TrimSpace(reason) || reason != oneLine(reason) {
		return artifacttypes.Invalid("a reason is one line of at most %d bytes, without spaces around it", maxReason)
	}
	return nil
}

// readJSON reads the one JSON object that a body is. Its type must be JSON, so
// that no web page can send it without asking.
func readJSON(r *http.Request, into any) error {
	const limit = 64 << 10
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return artifacttypes.Invalid("send Content-Type: application/json and a JSON object")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return badBody(err)
	}
	if len(body) > limit {
		return registry.E("pypi.readJSON", registry.TooLarge, nil, "the body is larger than the %d KiB allowed", limit>>10)
	}
	return decodeStrict(body, into)
}

// decodeStrict decodes one JSON value, without keys that are not known, twice
// there, or nested deeply.
func decodeStrict(body []byte, into any) error {
	if err := checkJSON(body); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return artifacttypes.Invalid("not the JSON that is expected here: %s", clip(err.Error()))
	}
	return nil
}
