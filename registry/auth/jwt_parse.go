package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
)

var errJWT = errors.New("this is no token of ours")

// jwtHeader is the JOSE header (RFC 7515, section 4.1): these members and no
// other. Where a key could be found ("jwk", "jku", "x5u", …) is not for the
// token to say.
type jwtHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	Key       string `json:"kid"`
}

// jwtClaims are the registered claims (RFC 7519, section 4.1), all required,
// and ours.
type jwtClaims struct {
	Issuer    string      `json:"iss"`
	Audience  string      `json:"aud"`
	Subject   string      `json:"sub"` // [Identity.String]
	IssuedAt  int64       `json:"iat"`
	NotBefore int64       `json:"nbf"`
	Expires   int64       `json:"exp"`
	ID        string      `json:"jti"`
	Principal int64       `json:"pid,omitempty"`   // row of the owner; 0 for anonymous
	Epoch     int64       `json:"epoch,omitempty"` // its owner's
	Token     string      `json:"tid,omitempty"`   // public id of the token it was had for
	Scope     []Scope     `json:"scope,omitempty"` // if that one is narrow
	Access    []jwtAccess `json:"access"`
}

// jwtAccess is one resource, distribution "Token Authentication
// Implementation", with what tells it from others of the same name.
type jwtAccess struct {
	Type       string   `json:"type"`
	Name       string   `json:"name"`
	Actions    []string `json:"actions"`
	Namespace  string   `json:"ns,omitempty"`  // [Incarnation.Namespace]
	Repository int64    `json:"rid,omitempty"` // [Incarnation.Repository]
}

// parseJWTHeader reads a header that has each member once.
func parseJWTHeader(text []byte) (h jwtHeader, err error) {
	err = readObject(text, map[string]func(*json.Decoder) error{
		"alg": stringInto(&h.Algorithm), "typ": stringInto(&h.Type), "kid": stringInto(&h.Key),
	}, "alg", "typ", "kid")
	return h, err
}

// parseJWTClaims reads claims that have each member once, and all that are
// required.
func parseJWTClaims(text []byte) (c jwtClaims, err error) {
	c.Access = []jwtAccess{}
	err = readObject(text, map[string]func(*json.Decoder) error{
		"iss": stringInto(&c.Issuer), "aud": stringInto(&c.Audience), "sub": stringInto(&c.Subject), "jti": stringInto(&c.ID),
		"iat": integerInto(&c.IssuedAt), "nbf": integerInto(&c.NotBefore), "exp": integerInto(&c.Expires),
		"pid": integerInto(&c.Principal), "epoch": integerInto(&c.Epoch), "tid": stringInto(&c.Token),
		"scope": listInto(func(d *json.Decoder) error {
			var s Scope
			err := readMembers(d, map[string]func(*json.Decoder) error{
				"repositories": stringInto(&s.Repositories), "role": stringInto(&s.Role),
			}, "repositories", "role")
			c.Scope = append(c.Scope, s)
			return err
		}),
		"access": listInto(func(d *json.Decoder) error {
			a := jwtAccess{Actions: []string{}}
			err := readMembers(d, map[string]func(*json.Decoder) error{
				"type": stringInto(&a.Type), "name": stringInto(&a.Name),
				"actions": listInto(func(d *json.Decoder) error {
					var action string
					err := stringInto(&action)(d)
					a.Actions = append(a.Actions, action)
					return err
				}),
				"ns": stringInto(&a.Namespace), "rid": integerInto(&a.Repository),
			}, "type", "name", "actions")
			c.Access = append(c.Access, a)
			return err
		}),
	}, "iss", "aud", "sub", "iat", "nbf", "exp", "jti", "access")
	return c, err
}

// readObject reads text that is one object and nothing else.
func readObject(text []byte, members map[string]func(*json.Decoder) error, required ...string) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := readMembers(d, members, required...); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errJWT
	}
	return nil
}

// readMembers reads an object by exact names. encoding/json would take
// "ALG" for "alg", and the last of two.
func readMembers(d *json.Decoder, members map[string]func(*json.Decoder) error, required ...string) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errJWT
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errJWT
		}
		name, _ := t.(string)
		read, known := members[name]
		if !known || slices.Contains(seen, name) {
			return errJWT
		}
		seen = append(seen, name)
		if err := read(d); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errJWT
	}
	for _, name := range required {
		if !slices.Contains(seen, name) {
			return errJWT
		}
	}
	return nil
}

func stringInto(s *string) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		t, err := d.Token()
		text, ok := t.(string)
		if err != nil || !ok {
			return errJWT
		}
		*s = text
		return nil
	}
}

func integerInto(n *int64) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		t, err := d.Token()
		number, ok := t.(json.Number)
		if err != nil || !ok {
			return errJWT
		}
		if *n, err = strconv.ParseInt(number.String(), 10, 64); err != nil || *n < 0 {
			return errJWT
		}
		return nil
	}
}

func listInto(element func(*json.Decoder) error) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return errJWT
		}
		for d.More() {
			if err := element(d); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return errJWT
		}
		return nil
	}
}
