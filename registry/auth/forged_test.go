package auth

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// mint signs what it is given, whatever it is.
func mint(key ed25519.PrivateKey, header, claims string) string {
	signed := b64(header) + "." + b64(claims)
	return signed + "." + b64(string(ed25519.Sign(key, []byte(signed))))
}

func object(tb testing.TB, m map[string]any) string {
	tb.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// forgery is a token that is not one of ours, or not any more.
type forgery struct{ name, text string }

// forgeries are made with the registry's own key wherever that does not help
// anyway: what is wrong with each is what its name says.
func forgeries(tb testing.TB, e *entrance) (good map[string]string, bad []forgery) {
	tb.Helper()
	kid, key, err := e.SigningKey(tb.Context(), jwtPurpose)
	if err != nil {
		tb.Fatal(err)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		tb.Fatal("the key is not Ed25519")
	}
	alice, bob := e.user("alice", "secret"), e.user("bob", "secret")
	old := e.token(meta.Token{Principal: alice.ID})
	e.change(func(ctx context.Context, tx *meta.Tx) error {
		return tx.SetPassword(ctx, alice.ID, cheap("new"), false)
	})
	before := alice.Epoch
	if alice, err = e.store.PrincipalByID(tb.Context(), alice.ID); err != nil || alice.Epoch == before {
		tb.Fatalf("epoch %d after %d: %v", alice.Epoch, before, err)
	}
	off := e.user("off", "secret")
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.SetDisabled(ctx, off.ID, true) })
	var trust int64
	e.change(func(ctx context.Context, tx *meta.Tx) (err error) {
		trust, err = tx.AddTrust(ctx, meta.Trust{Name: "release", Issuer: "https://ci.example", Claims: map[string]string{"repository_id": "1"}, Role: "publisher", Repositories: "acme/**"})
		return err
	})
	now := e.now().Unix()
	plainHeader := object(tb, map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": kid})
	base := func() map[string]any {
		return map[string]any{
			"iss": "packhouse", "aud": "packhouse", "sub": "user:alice", "pid": alice.ID, "epoch": alice.Epoch,
			"iat": now, "nbf": now, "exp": now + 300, "jti": "0123456789abcdef0123456789abcdef",
			"access": []any{map[string]any{"type": "repository", "name": "acme/app", "actions": []any{"pull"}}},
		}
	}
	plain := object(tb, base())
	good = map[string]string{"plain": mint(key, plainHeader, plain)}
	add := func(name, text string) { bad = append(bad, forgery{name, text}) }
	header := func(name string, change func(m map[string]any)) {
		m := map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": kid}
		change(m)
		add(name, mint(key, object(tb, m), plain))
	}
	claims := func(name string, change func(m map[string]any)) {
		m := base()
		change(m)
		add(name, mint(key, plainHeader, object(tb, m)))
	}

	// Algorithms.
	for _, alg := range []string{"none", "None", "nOnE", "NONE", "", "eddsa", "EDDSA", "EdDSA ", "Ed25519", "Ed448", "HS256", "HS512", "RS256", "PS256", "ES256", "ES256K", "dir", "RSA-OAEP", "PBES2-HS256+A128KW"} {
		header(fmt.Sprintf("alg %q, signed by us", alg), func(m map[string]any) { m["alg"] = alg })
	}
	for _, alg := range []string{"none", "None", "nOnE"} {
		h := b64(object(tb, map[string]any{"alg": alg, "typ": "JWT", "kid": kid}))
		add("alg "+alg+", no signature", h+"."+b64(plain)+".")
		add("alg "+alg+", no third part", h+"."+b64(plain))
	}
	header("alg an array", func(m map[string]any) { m["alg"] = []any{"EdDSA"} })
	header("alg null", func(m map[string]any) { m["alg"] = nil })
	header("no alg", func(m map[string]any) { delete(m, "alg") })
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	for name, secret := range map[string][]byte{"raw": public, "SPKI": spki, "base64": []byte(base64.StdEncoding.EncodeToString(spki)), "empty": {}} {
		signed := b64(object(tb, map[string]any{"alg": "HS256", "typ": "JWT", "kid": kid})) + "." + b64(plain)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		add("HS256 by the public key, "+name, signed+"."+b64(string(mac.Sum(nil))))
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signed := b64(object(tb, map[string]any{"alg": "ES256", "typ": "JWT", "kid": kid})) + "." + b64(plain)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, ec, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	add("ES256 by another key", signed+"."+b64(string(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))))
	add("ES256, r and s zero", signed+"."+b64(string(make([]byte, 64))))
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	signed = b64(object(tb, map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid})) + "." + b64(plain)
	digest = sha256.Sum256([]byte(signed))
	rsSignature, err := rsa.SignPKCS1v15(rand.Reader, rs, crypto.SHA256, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	add("RS256 by another key", signed+"."+b64(string(rsSignature)))

	// Keys that a token brings along or says where to fetch.
	otherPublic, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(string(otherPublic)), "kid": kid}
	for name, m := range map[string]map[string]any{
		"jwk":                {"jwk": jwk},
		"jwk without kid":    {"jwk": jwk, "kid": nil},
		"jku":                {"jku": "http://127.0.0.1:1/keys.json"},
		"x5u":                {"x5u": "http://127.0.0.1:1/chain.pem"},
		"x5c":                {"x5c": []any{base64.StdEncoding.EncodeToString(spki)}},
		"x5t":                {"x5t": "abc"},
		"crit":               {"crit": []any{"exp"}},
		"crit, b64 false":    {"crit": []any{"b64"}, "b64": false},
		"b64 false":          {"b64": false},
		"zip":                {"zip": "DEF"},
		"cty":                {"cty": "JWT"},
		"enc":                {"enc": "A256GCM"},
		"a member of no RFC": {"x": 1},
	} {
		h := map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": kid}
		maps.Copy(h, m)
		add(name+", signed by us", mint(key, object(tb, h), plain))
		add(name+", signed by another", mint(other, object(tb, h), plain))
	}
	for _, id := range []any{"", "unknown", "../../../etc/passwd", "../../dev/null", kid + "/../" + kid, "' OR '1'='1", "x' UNION SELECT 'key' --", kid + "\x00", kid + " ", " " + kid, strings.ToUpper(kid) + "!", []any{kid}, map[string]any{"kid": kid}, 1, nil, true, strings.Repeat("k", 4000), "http://127.0.0.1:1/key", "|/bin/true", "${jndi:ldap://127.0.0.1:1/a}"} {
		header(fmt.Sprintf("kid %.40v (%T)", id, id), func(m map[string]any) { m["kid"] = id })
	}
	header("no kid", func(m map[string]any) { delete(m, "kid") })
	for _, typ := range []any{"at+jwt", "jwt", "JWS", "JOSE", "dpop+jwt", "", nil, "application/jwt"} {
		header(fmt.Sprintf("typ %v", typ), func(m map[string]any) { m["typ"] = typ })
	}
	header("no typ", func(m map[string]any) { delete(m, "typ") })
	add("header with alg twice, none first", mint(key, `{"alg":"none","alg":"EdDSA","typ":"JWT","kid":"`+kid+`"}`, plain))
	add("header with alg twice, none last", mint(key, `{"alg":"EdDSA","typ":"JWT","kid":"`+kid+`","alg":"none"}`, plain))
	add("header with ALG beside alg", mint(key, `{"ALG":"none","alg":"EdDSA","typ":"JWT","kid":"`+kid+`"}`, plain))
	add("header with Alg for alg", mint(key, `{"Alg":"EdDSA","typ":"JWT","kid":"`+kid+`"}`, plain))
	add("header with kid twice", mint(key, `{"alg":"EdDSA","typ":"JWT","kid":"x","kid":"`+kid+`"}`, plain))
	add("header an array", mint(key, `[`+plainHeader+`]`, plain))
	add("header in header", mint(key, plainHeader+plainHeader, plain))
	add("header null", mint(key, `null`, plain))
	add("header empty", mint(key, ``, plain))
	add("header with a byte order mark", mint(key, "\ufeff"+plainHeader, plain))
	add("header cut", mint(key, plainHeader[:len(plainHeader)-1], plain))
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = w.Write([]byte(plain))
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	add("claims deflated", mint(key, plainHeader, deflated.String()))

	// Claims of our own key that are not right.
	for name, list := range map[string][]any{
		"iss": {"", "Packhouse", "PACKHOUSE", "packhouse.", "packhouse ", "packhouse/", "https://packhouse", "раckhouse", "packhouse\x00", "ｐackhouse", nil, []any{"packhouse"}},
		"aud": {"", "Packhouse", "packhouse.", "other", "packhouse,other", []any{"packhouse"}, []any{"packhouse", "other"}, "*", nil, "pаckhouse"},
		"sub": {"", "alice", "user:Alice", "user:alice ", "user:alice.", "User:alice", "user:аlice", "user:alice\x00", "user:bob", "service:alice", "workload:alice", "operator", "open", "anonymous", "none", "user:", "user:alice,user:bob", nil, []any{"user:alice"}},
		"pid": {bob.ID, 0, -1, 9999, fmt.Sprint(alice.ID), float64(alice.ID) + 0.5, json.RawMessage(fmt.Sprintf("%d.0", alice.ID)), json.RawMessage(fmt.Sprintf("%de0", alice.ID)), json.RawMessage("18446744073709551617"), nil},
		"epoch": {
			before, alice.Epoch + 1, 0, -1, fmt.Sprint(alice.Epoch), nil,
		},
		"tid":    {"unknown", "' OR 1=1 --", 1, nil},
		"jti":    {"", nil, 1},
		"access": {nil, "repository:acme/app:pull", map[string]any{}, []any{"x"}, []any{map[string]any{"type": "repository", "name": "acme/app"}}, []any{map[string]any{"type": "repository", "name": "acme/app", "actions": "pull"}}, []any{map[string]any{"type": "repository", "name": "acme/app", "actions": []any{"pull"}, "class": "x"}}},
		"scope":  {nil, "reader", []any{map[string]any{"repositories": "**"}}, []any{map[string]any{"repositories": "**", "role": "admin", "Role": "reader"}}},
		"exp":    {now - jwtSkew, now, now - 1000, now + jwtMaxLife + 1, now + 10*365*86400, 0, -1, fmt.Sprint(now + 300), float64(now) + 300.5, json.RawMessage(fmt.Sprintf("%d.0", now+300)), json.RawMessage("1e10"), json.RawMessage("9223372036854775807"), json.RawMessage("9223372036854775808"), json.RawMessage("99999999999999999999999999"), nil, true},
		"iat":    {now + jwtSkew + 1, now + 301, now - jwtMaxLife, 0, -1, fmt.Sprint(now), float64(now) + 0.5, nil},
		"nbf":    {now + jwtSkew + 1, now + 301, -1, fmt.Sprint(now), nil},
	} {
		for i, v := range list {
			claims(fmt.Sprintf("%s %.40v (%T, %d)", name, v, v, i), func(m map[string]any) { m[name] = v })
		}
		if name != "tid" && name != "scope" {
			claims("no "+name, func(m map[string]any) { delete(m, name) })
		}
	}
	claims("iat, nbf and exp of years ago", func(m map[string]any) { m["iat"], m["nbf"], m["exp"] = now-1e8, now-1e8, now-1e8+300 })
	claims("iat, nbf and exp to come", func(m map[string]any) { m["iat"], m["nbf"], m["exp"] = now+100, now+100, now+400 })
	claims("another claim", func(m map[string]any) { m["admin"] = true })
	claims("azp", func(m map[string]any) { m["azp"] = "packhouse" })
	claims("disabled", func(m map[string]any) { m["sub"], m["pid"], m["epoch"] = "user:off", off.ID, off.Epoch })
	claims("workload without its token", func(m map[string]any) { m["sub"], m["pid"], m["epoch"] = "workload:release", trust, 0 })
	claims("anonymous with an owner", func(m map[string]any) { m["sub"] = "anonymous"; delete(m, "epoch") })
	add("claims with sub twice", mint(key, plainHeader, strings.Replace(plain, `"sub":"user:alice"`, `"sub":"user:bob","sub":"user:alice"`, 1)))
	add("claims with SUB beside sub", mint(key, plainHeader, strings.Replace(plain, `"sub":`, `"SUB":"user:bob","sub":`, 1)))
	add("claims with exp twice", mint(key, plainHeader, strings.Replace(plain, `"exp":`, `"exp":1,"exp":`, 1)))
	add("claims with name twice in access", mint(key, plainHeader, strings.Replace(plain, `"name":"acme/app"`, `"name":"acme/app","name":"acme/other"`, 1)))
	add("claims with a byte order mark", mint(key, plainHeader, "\ufeff"+plain))
	add("claims and more", mint(key, plainHeader, plain+"{}"))
	add("claims null", mint(key, plainHeader, "null"))
	add("claims a text", mint(key, plainHeader, `"x"`))
	add("claims empty", mint(key, plainHeader, ""))
	add("a token in a token", mint(key, plainHeader, good["plain"]))
	add("claims nested deep", mint(key, plainHeader, `{"access":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`))

	// Tokens behind it.
	expired := newJWTID()[:12]
	add("token text that is expired", e.token(meta.Token{ID: expired, Principal: alice.ID, Expires: e.now()}))
	claims("JWT of an expired token", func(m map[string]any) { m["tid"] = expired })
	add("token text of an old epoch", old)
	add("token text of who is disabled", e.token(meta.Token{Principal: off.ID}))
	revoked := newJWTID()[:12]
	revokedText := e.token(meta.Token{ID: revoked, Principal: alice.ID})
	bobs := newJWTID()[:12]
	e.token(meta.Token{ID: bobs, Principal: bob.ID})
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.RevokeToken(ctx, revoked, tx.Now()) })
	add("token text that is revoked", revokedText)
	claims("JWT of a revoked token", func(m map[string]any) { m["tid"] = revoked })
	claims("JWT of somebody else's token", func(m map[string]any) { m["tid"] = bobs })

	// The outside.
	parts := strings.Split(good["plain"], ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		tb.Fatal(err)
	}
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	low := new(big.Int).SetBytes(reversed(signature[32:]))
	malleable := append(bytes.Clone(signature[:32]), reversed(low.Add(low, order).FillBytes(make([]byte, 32)))...)
	add("signature with S+L", parts[0]+"."+parts[1]+"."+b64(string(malleable)))
	add("signature of zeros", parts[0]+"."+parts[1]+"."+b64(string(make([]byte, 64))))
	add("signature of a small point", parts[0]+"."+parts[1]+"."+b64("\x01"+string(make([]byte, 63))))
	add("signature cut", parts[0]+"."+parts[1]+"."+b64(string(signature[:63])))
	add("signature and more", parts[0]+"."+parts[1]+"."+b64(string(signature)+"\x00"))
	add("signature twice", parts[0]+"."+parts[1]+"."+b64(string(signature)+string(signature)))
	add("no signature", parts[0]+"."+parts[1]+".")
	add("no claims", parts[0]+".."+parts[2])
	add("no header", "."+parts[1]+"."+parts[2])
	add("other key", mint(other, plainHeader, plain))
	add("swapped header", b64(object(tb, map[string]any{"alg": "EdDSA", "kid": kid, "typ": "JWT", "x": 1}))+"."+parts[1]+"."+parts[2])
	add("swapped claims", parts[0]+"."+b64(strings.Replace(plain, `"user:alice"`, `"user:bob"`, 1))+"."+parts[2])
	add("parts in another order", parts[1]+"."+parts[0]+"."+parts[2])
	add("padding", parts[0]+"."+parts[1]+"."+parts[2]+"==")
	add("padding of the header", parts[0]+"="+"."+parts[1]+"."+parts[2])
	add("standard base64", base64.StdEncoding.EncodeToString([]byte(plainHeader))+"."+base64.StdEncoding.EncodeToString([]byte(plain))+"."+base64.StdEncoding.EncodeToString(signature))
	add("bits left over", parts[0]+"."+parts[1]+"."+parts[2][:85]+leftOver(parts[2][85]))
	add("CRLF inside", parts[0]+"."+parts[1]+"."+parts[2][:10]+"\r\n"+parts[2][10:])
	add("CRLF behind", good["plain"]+"\r\n")
	add("byte order mark", "\ufeff"+good["plain"])
	add("NUL behind", good["plain"]+"\x00")
	add("space inside", parts[0]+" ."+parts[1]+"."+parts[2])
	add("a fourth part", good["plain"]+".")
	add("five parts, as of JWE", good["plain"]+".a.b")
	add("percent-encoded", strings.ReplaceAll(good["plain"], ".", "%2E"))
	add("wide dots", strings.ReplaceAll(good["plain"], ".", "．"))
	add("JSON serialization", `{"protected":"`+parts[0]+`","payload":"`+parts[1]+`","signature":"`+parts[2]+`"}`)
	add("Bearer before it", "Bearer "+good["plain"])
	add("upper case", strings.ToUpper(good["plain"]))
	add("1 MiB of dots", strings.Repeat(".", 1<<20))
	add("1 MiB of header", b64(strings.Repeat("a", 1<<20))+"."+parts[1]+"."+parts[2])
	add("one byte too long", mint(key, plainHeader, plain+strings.Repeat(" ", maxJWT)))
	add("two dots", "..")
	add("one dot", ".")
	add("empty", "")

	// Texts of tokens.
	tokenText := e.token(meta.Token{Principal: alice.ID})
	good["token text"] = tokenText
	add("token text, first random digit changed", tokenText[:4]+next(tokenText[4])+tokenText[5:])
	add("token text, checksum changed", tokenText[:52]+next(tokenText[52]))
	add("token text, changed with a right checksum", string(appendChecksum([]byte(tokenText[:10]+next(tokenText[10])+tokenText[11:47]))))
	add("token text, cut", tokenText[:52])
	add("token text and more", tokenText+"0")
	add("token text, prefix in capitals", "PKH_"+tokenText[4:])
	add("token text, without prefix", tokenText[4:])
	add("token text, unknown", NewTokenText())
	add("token text, all zero", aToken)
	add("hash of a token", fmt.Sprintf("%x", hashSecret(tokenText)))
	return good, bad
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

// next is another digit of base62.
func next(c byte) string {
	i := strings.IndexByte(base62, c)
	return base62[(i+1)%62 : (i+1)%62+1]
}

// leftOver is the digit of base64url whose low bits, which mean nothing,
// differ.
func leftOver(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(digits, c)
	return digits[i^1 : i^1+1]
}

func TestForged(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	good, bad := forgeries(t, e)
	for name, text := range good {
		if _, err := e.bare(text); err != nil {
			t.Fatalf("%s is refused, so the others prove nothing: %v", name, err)
		}
	}
	if len(bad) < 80 {
		t.Errorf("%d forgeries, want at least 80", len(bad))
	}
	t.Logf("%d forgeries", len(bad))
	seen := map[string]string{}
	for _, f := range bad {
		if other, twice := seen[f.text]; twice {
			t.Errorf("%q and %q are the same", f.name, other)
		}
		seen[f.text] = f.name
		ways := []Credential{{Secret: f.text, Bare: true}, {User: "__token__", Secret: f.text}, {User: f.text}}
		for _, c := range ways {
			id, err := e.Authenticate(t.Context(), c, "192.0.2.1")
			if !errors.Is(err, registry.Unauthorized) || id != nil {
				t.Errorf("%s: %v, %v, want UNAUTHORIZED", f.name, id, err)
			}
		}
	}
	// Nothing of all that did harm.
	for name, text := range good {
		if _, err := e.bare(text); err != nil {
			t.Errorf("%s is refused afterwards: %v", name, err)
		}
	}
	// A JWT is no password.
	if _, err := e.Authenticate(t.Context(), Credential{User: "alice", Secret: good["plain"]}, ""); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("JWT as a password: %v", err)
	}
	e.pass(5*time.Minute + jwtSkew*time.Second)
	if _, err := e.bare(good["plain"]); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("JWT after its time: %v", err)
	}
}

// TestAsksNobody: nothing here can fetch a key: package auth speaks HTTP only
// as a server, and dials only the directory.
func TestAsksNobody(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	client := map[string]bool{"Client": true, "DefaultClient": true, "Transport": true, "DefaultTransport": true, "Get": true, "Head": true, "Post": true, "PostForm": true, "NewRequest": true, "NewRequestWithContext": true, "RoundTripper": true}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, _ := s.X.(*ast.Ident)
			switch {
			case from == nil:
			case from.Name == "http" && client[s.Sel.Name]:
				t.Errorf("%s uses http.%s", name, s.Sel.Name)
			case from.Name == "net" && strings.HasPrefix(s.Sel.Name, "Dial") && name != "ldap.go":
				t.Errorf("%s uses net.%s", name, s.Sel.Name)
			}
			return true
		})
	}
}

// FuzzJWT: whatever is not signed by us is refused, and nothing panics.
func FuzzJWT(f *testing.F) {
	e := newEntrance(f)
	good, bad := forgeries(f, e)
	signed := map[string]bool{good["plain"]: true}
	for _, b := range bad {
		if len(b.text) > 2*maxJWT {
			continue
		}
		f.Add(b.text)
		if strings.Count(b.text, ".") == 2 { // its claims are for the fuzzer, too
			signed[b.text] = true
			if claims, err := base64.RawURLEncoding.DecodeString(strings.Split(b.text, ".")[1]); err == nil {
				f.Add(string(claims))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := e.login.jwt.verify(t.Context(), text)
		if err == nil && !signed[text] {
			t.Fatalf("%q was taken: %+v", text, c)
		}
		// The parsers alone, which strangers' bytes reach only when signed.
		_, _ = parseJWTHeader([]byte(text))
		if c, err := parseJWTClaims([]byte(text)); err == nil {
			again, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseJWTClaims(again); err != nil && c.Scope == nil {
				t.Fatalf("%s: %v", again, err)
			}
		}
	})
}
