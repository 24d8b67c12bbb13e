package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

// Description is the API's own description.
const Description Name[None, json.RawMessage] = "api"

func description(context.Context, *Env, None, Report) (json.RawMessage, error) { return Document() }

// APIVersion is that of the paths below [Prefix].
const APIVersion = "1"

// object is a JSON object; its members are written in the order of their names.
type object map[string]any

// Document describes the API as OpenAPI 3.1, from the table.
func Document() (json.RawMessage, error) {
	s := &schemas{all: object{}, types: map[string]reflect.Type{}}
	paths := object{}
	var groups []any
	known := map[string]bool{}
	for _, op := range Operations() {
		path, ok := paths[Prefix+op.Path].(object)
		if !ok {
			path = object{}
			paths[Prefix+op.Path] = path
		}
		path[strings.ToLower(op.Method)] = s.operation(&op)
		if group := op.group(); !known[group] {
			known[group] = true
			groups = append(groups, object{"name": group})
		}
	}
	s.add("Error", reflect.TypeFor[Problem]())
	s.add("Progress", reflect.TypeFor[Progress]())
	s.all["Line"] = object{
		"description": "One line of an answer in lines: any number with progress, then one with result or error.",
		"type":        "object",
		"properties": object{
			"progress": ref("Progress"), "error": ref("Error"),
			"result": object{"description": "What the answer in one piece would be."},
		},
	}
	if s.err != nil {
		return nil, s.err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // people read it
	enc.SetIndent("", "  ")
	err := enc.Encode(object{
		"openapi": "3.1.0",
		"info": object{
			"title":   "Packhouse",
			"version": APIVersion,
			"description": "What can be done to a registry beside pushing and pulling. A parameter in a path is one segment: a slash in it is written %2F. " +
				"Parameters that an operation does not have are refused. Every GET answers HEAD, too.",
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{object{"url": "/"}},
		"tags":     groups,
		"security": loggedIn,
		"paths":    paths,
		"components": object{
			"schemas": s.all,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer", "description": "A token, see token.create."},
				"basic":  object{"type": "http", "scheme": "basic", "description": "A user's name and password, or any name and a token."},
			},
			"responses": object{
				"Error": object{
					"description": "It was not done: the body says why, its code with this status.",
					"content":     object{jsonType: object{"schema": ref("Error")}},
				},
			},
			"headers": object{
				"Link": object{
					"description": `<URL>; rel="next" leads to the next page; absent on the last one.`,
					"schema":      object{"type": "string"},
				},
			},
		},
	})
	return out.Bytes(), err
}

var loggedIn = []any{object{"bearer": []string{}}, object{"basic": []string{}}}

// group is what the operation is about: the first word of its name.
func (o *Operation) group() string {
	group, _, _ := strings.Cut(o.Name, ".")
	return group
}

func (s *schemas) operation(op *Operation) object {
	out := object{
		"operationId": op.Name,
		"summary":     op.Summary,
		"tags":        []string{op.group()},
		"responses":   object{strconv.Itoa(op.Status): s.success(op), "default": object{"$ref": "#/components/responses/Error"}},
	}
	switch verb, needed := op.Access.Verb(); {
	case needed:
		out["description"] = fmt.Sprintf("Needs %s on what it is about.", verb)
	case op.Access.kind == anyone:
		out["description"] = "Open to everybody, who sees what they may see."
		out["security"] = append([]any{object{}}, loggedIn...)
	default:
		out["description"] = "Needs somebody who is logged in."
	}
	inPath := map[string]bool{}
	for _, name := range op.pathParams() {
		inPath[name] = true
	}
	var parameters []any
	body, required := object{}, []string{}
	for _, m := range members(op.params) {
		schema := s.of(m.typ)
		switch {
		case inPath[m.name], !op.hasBody():
			p := object{"name": m.name, "in": "query", "schema": m.limit(schema), "required": inPath[m.name] || !m.optional}
			if inPath[m.name] {
				p["in"] = "path"
			}
			if m.doc != "" {
				p["description"] = m.doc
			}
			parameters = append(parameters, p)
		default:
			body[m.name] = m.describe(schema)
			if !m.optional {
				required = append(required, m.name)
			}
		}
	}
	if parameters != nil {
		out["parameters"] = parameters
	}
	if len(body) > 0 {
		schema := object{"type": "object", "properties": body, "additionalProperties": false}
		if len(required) > 0 {
			schema["required"] = required
		}
		out["requestBody"] = object{"required": len(required) > 0, "content": object{jsonType: object{"schema": schema}}}
	}
	return out
}

func (s *schemas) success(op *Operation) object {
	if op.Status == http.StatusNoContent {
		return object{"description": "Done."}
	}
	content := object{jsonType: object{"schema": s.of(op.result)}}
	if op.Long {
		content[linesType] = object{"schema": ref("Line")}
	}
	out := object{"description": http.StatusText(op.Status) + ".", "content": content}
	if op.next != nil {
		out["headers"] = object{"Link": object{"$ref": "#/components/headers/Link"}}
	}
	return out
}
