package admin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

const jsonType = "application/json"

// gather makes one JSON object of a request's parameters: those of the path,
// and those of the query or of the body. What it could read is returned beside
// an error. It returns PARAMETER_INVALID, TOO_LARGE.
func (o *Operation) gather(w http.ResponseWriter, r *http.Request, path map[string]string, maxBody int64) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	for name, value := range path {
		raw, err := textToJSON(o.fields[name], name, []string{value})
		if err != nil {
			return nil, err
		}
		all[name] = raw
	}
	err := o.gatherQuery(r, all)
	if err == nil && o.hasBody() {
		err = o.gatherBody(w, r, maxBody, all)
	}
	raw, encodeErr := json.Marshal(all)
	if err == nil {
		err = encodeErr
	}
	return raw, err
}

func (o *Operation) gatherQuery(r *http.Request, all map[string]json.RawMessage) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badParameter(err, "the query is malformed")
	}
	for name, values := range query {
		if o.hasBody() {
			return badParameter(nil, "the query has %q: %s takes its parameters as a JSON object in the body", name, o.Name)
		}
		raw, err := o.checked(all, name, func(t reflect.Type) (json.RawMessage, error) { return textToJSON(t, name, values) })
		if err != nil {
			return err
		}
		all[name] = raw
	}
	return nil
}

func (o *Operation) gatherBody(w http.ResponseWriter, r *http.Request, maxBody int64, all map[string]json.RawMessage) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return registry.E("admin", registry.TooLarge, err, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		if known, ok := errors.AsType[*registry.Error](err); ok {
			return known
		}
		return badParameter(err, "the body ended early")
	}
	if len(body) == 0 {
		return nil
	}
	// A web page can make a browser send other types across sites unasked.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != jsonType {
		return badParameter(err, "the body is %q: send it as %s", r.Header.Get("Content-Type"), jsonType)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return badParameter(err, "the body is no JSON object: %v", err)
	}
	for name, raw := range object {
		checked, err := o.checked(all, name, func(reflect.Type) (json.RawMessage, error) { return raw, nil })
		if err != nil {
			return err
		}
		all[name] = checked
	}
	return nil
}

// checked refuses what the operation does not have, and what its path says.
func (o *Operation) checked(all map[string]json.RawMessage, name string, value func(reflect.Type) (json.RawMessage, error)) (json.RawMessage, error) {
	if o.fields[name] == nil {
		return nil, badParameter(nil, "%s has no parameter %q", o.Name, name)
	}
	if all[name] != nil {
		return nil, badParameter(nil, "%q is in the path already", name)
	}
	return value(o.fields[name])
}

// textToJSON turns a parameter of a path or a query into a JSON value of its
// type.
func textToJSON(t reflect.Type, name string, values []string) (json.RawMessage, error) {
	if t.Kind() == reflect.Slice {
		return json.Marshal(values)
	}
	if len(values) != 1 {
		return nil, badParameter(nil, "%q is given %d times", name, len(values))
	}
	value := values[0]
	switch t.Kind() {
	case reflect.Bool:
		if value != "true" && value != "false" {
			return nil, badParameter(nil, "%s: %q is neither true nor false", name, value)
		}
		return json.RawMessage(value), nil
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, badParameter(err, "%s: %q is not a number", name, value)
		}
		return strconv.AppendInt(nil, n, 10), nil
	default:
		return json.Marshal(value)
	}
}

// spread undoes gather: it writes parameters as a request's path, query and
// body, which is nil if there is nothing in it.
func (o *Operation) spread(params json.RawMessage) (path string, query url.Values, body []byte, err error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(params, &all); err != nil {
		return "", nil, nil, badParameter(err, "the parameters of %s are no JSON object", o.Name)
	}
	segments := strings.Split(o.Path, "/")
	for i, segment := range segments {
		name, ok := pathParam(segment)
		if !ok {
			continue
		}
		texts, err := jsonToText(all[name])
		if err != nil || len(texts) != 1 || texts[0] == "" {
			return "", nil, nil, badParameter(err, "%s needs %q", o.Name, name)
		}
		segments[i] = url.PathEscape(texts[0])
		delete(all, name)
	}
	path = Prefix + strings.Join(segments, "/")
	if o.hasBody() {
		if len(all) > 0 {
			body, err = json.Marshal(all)
		}
		return path, nil, body, err
	}
	query = url.Values{}
	for name, raw := range all {
		if query[name], err = jsonToText(raw); err != nil {
			return "", nil, nil, badParameter(err, "%s: %q is no text", o.Name, name)
		}
	}
	return path, query, nil, nil
}

// jsonToText undoes textToJSON.
func jsonToText(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var list []string
	var text string
	switch raw[0] {
	case '[':
		return list, json.Unmarshal(raw, &list)
	case '"':
		err := json.Unmarshal(raw, &text)
		return []string{text}, err
	case '{':
		return nil, errors.New("an object")
	}
	return []string{string(raw)}, nil
}
