package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

const prefix = "/-/api/v1"

// judge holds requests and answers against the description.
type judge struct {
	t      *testing.T
	s      *packhouse.Server
	v      validator.Validator
	model  *v3.Document
	seen   map[string]bool // operations that answered with success
	secret string
}

func newJudge(t *testing.T, s *packhouse.Server) *judge {
	t.Helper()
	res, err := s.Client().Get(s.URL + prefix + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	doc, err := libopenapi.NewDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc, config.WithFormatAssertions())
	if errs != nil {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		t.Fatalf("the description is not valid OpenAPI:\n%s", describe(problems))
	}
	return &judge{t: t, s: s, v: v, model: &model.Model, seen: map[string]bool{"api": true}}
}

func describe(problems []*errors.ValidationError) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Message, p.Reason)
		for _, s := range p.SchemaValidationErrors {
			fmt.Fprintf(&b, "  %s %s\n", s.FieldPath, s.Reason)
		}
	}
	return b.String()
}

// do sends a request that the description allows, and judges both it and the answer.
func (j *judge) do(method, path string, body any, want int) []byte {
	j.t.Helper()
	return j.send(method, path, body, want, true)
}

// bad sends a request that the description does not allow: the answer must be as described all the same.
func (j *judge) bad(method, path string, body any, want int) {
	j.t.Helper()
	j.send(method, path, body, want, false)
}

func (j *judge) send(method, path string, body any, want int, legal bool) []byte {
	j.t.Helper()
	request := func() *http.Request {
		var content io.Reader
		if body != nil {
			raw, err := json.Marshal(body)
			if err != nil {
				j.t.Fatal(err)
			}
			content = bytes.NewReader(raw)
		}
		r, err := http.NewRequestWithContext(j.t.Context(), method, j.s.URL+prefix+path, content)
		if err != nil {
			j.t.Fatal(err)
		}
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		if j.secret != "" {
			r.Header.Set("Authorization", "Bearer "+j.secret)
		}
		return r
	}
	if ok, problems := j.v.ValidateHttpRequest(request()); ok != legal {
		j.t.Errorf("%s %s: the description says legal = %t: %s", method, path, ok, describe(problems))
	}
	res, err := j.s.Client().Do(request())
	if err != nil {
		j.t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		j.t.Fatal(err)
	}
	if res.StatusCode != want {
		j.t.Errorf("%s %s: %s, want %d: %s", method, path, res.Status, want, answer)
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	if ok, problems := j.v.ValidateHttpResponse(request(), res); !ok {
		j.t.Errorf("%s %s answered %s, not as described:\n%s\n%s", method, path, res.Status, answer, describe(problems))
	}
	if res.StatusCode < http.StatusMultipleChoices {
		j.note(method, path)
	}
	return answer
}

// push pushes an empty image.
func (j *judge) push(repo, tag, note string) {
	j.t.Helper()
	put := func(method, url, contentType, body string) {
		r, err := http.NewRequestWithContext(j.t.Context(), method, j.s.URL+"/v2/"+repo+url, strings.NewReader(body))
		if err != nil {
			j.t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "Bearer "+j.secret)
		res, err := j.s.Client().Do(r)
		if err != nil {
			j.t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			answer, _ := io.ReadAll(res.Body)
			j.t.Fatalf("%s %s: %s %s", method, url, res.Status, answer)
		}
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("{}")))
	put("POST", "/blobs/uploads/?digest="+digest, "application/octet-stream", "{}")
	put("PUT", "/manifests/"+tag, imageType, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"note":%q}}`, imageType, digest, note))
}

const imageType = "application/vnd.oci.image.manifest.v1+json"

// note finds the operation of a request that succeeded.
func (j *judge) note(method, path string) {
	j.t.Helper()
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split(prefix+path, "/")
	for pattern, item := range j.model.Paths.PathItems.FromOldest() {
		wanted := strings.Split(pattern, "/")
		if len(wanted) != len(segments) {
			continue
		}
		matches := true
		for i := range wanted {
			matches = matches && (strings.HasPrefix(wanted[i], "{") || wanted[i] == segments[i])
		}
		if op := item.GetOperations().GetOrZero(strings.ToLower(method)); matches && op != nil {
			j.seen[op.OperationId] = true
			return
		}
	}
	j.t.Errorf("%s %s is not described", method, path)
}

// All operations are tried: one that no request of this test reached fails it.
func (j *judge) complete() {
	j.t.Helper()
	for _, item := range j.model.Paths.PathItems.FromOldest() {
		for _, op := range item.GetOperations().FromOldest() {
			if !j.seen[op.OperationId] {
				j.t.Errorf("%s was not tried", op.OperationId)
			}
		}
	}
}
