package npm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// scanned returns the document without data and the data of each attachment.
func scanned(r io.Reader) (doc string, data map[string]string, err error) {
	data = map[string]string{}
	o, err := scan(r, func(name string, r io.Reader) error {
		text, err := io.ReadAll(r)
		data[name] = string(text)
		return err
	})
	return string(o.raw()), data, err
}

func TestScan(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("QUJD", 50_000)
	for _, test := range []struct {
		name, body, doc string
		data            map[string]string
	}{
		{"none", `{"a":1}`, `{"a":1}`, nil},
		{"data last", `{"name":"x","_attachments":{"x.tgz":{"length":3,"data":"QUJD"}}}`, `{"name":"x","_attachments":{"x.tgz":{"length":3,"data":""}}}`, map[string]string{"x.tgz": "QUJD"}},
		{"data first", `{"_attachments":{"x.tgz":{"data":"QUJD","length":3}},"name":"x"}`, `{"_attachments":{"x.tgz":{"data":"","length":3}},"name":"x"}`, map[string]string{"x.tgz": "QUJD"}},
		{"white space", "{ \"_attachments\" :\n{ \"x\" : { \"data\" : \"QUJD\" } } }", `{"_attachments":{"x":{"data":""}}}`, map[string]string{"x": "QUJD"}},
		{"two", `{"_attachments":{"a":{"data":"1"},"b":{"data":"2"}}}`, `{"_attachments":{"a":{"data":""},"b":{"data":""}}}`, map[string]string{"a": "1", "b": "2"}},
		{"long", `{"_attachments":{"x":{"data":"` + long + `"}}}`, `{"_attachments":{"x":{"data":""}}}`, map[string]string{"x": long}},
		{"escapes in data", `{"_attachments":{"x":{"data":"a\/b\u002b\n\"\\\ud83d\ude00é"}}}`, `{"_attachments":{"x":{"data":""}}}`, map[string]string{"x": "a/b+\n\"\\😀é"}},
		{"half a pair", `{"_attachments":{"x":{"data":"\ud83dx\ud83d\ud83d\ude00"}}}`, `{"_attachments":{"x":{"data":""}}}`, map[string]string{"x": "\uFFFDx\uFFFD\uFFFD\uFFFD"}},
		{"an escaped key", `{"_attachments":{"a\/b":{"da\u0074a":"1"}}}`, `{"_attachments":{"a\/b":{"da\u0074a":""}}}`, map[string]string{"a/b": "1"}},
		{
			"data elsewhere", `{"data":"1","x":{"_attachments":{"a":{"data":"2"}}},"_attachments":{"a":{"b":{"data":"3"}},"c":["data","4"]}}`,
			`{"data":"1","x":{"_attachments":{"a":{"data":"2"}}},"_attachments":{"a":{"b":{"data":"3"}},"c":["data","4"]}}`, nil,
		},
		{"quotes and backslashes", `{"a":"\\","b":"\"{[","c":"\\\""}`, `{"a":"\\","b":"\"{[","c":"\\\""}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, r := range map[string]io.Reader{
				"at once": strings.NewReader(test.body), "byte by byte": iotest.OneByteReader(strings.NewReader(test.body)),
			} {
				doc, data, err := scanned(r)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				want := test.data
				if want == nil {
					want = map[string]string{}
				}
				if name == "byte by byte" && test.name == "half a pair" {
					continue // how many replacement characters there are depends on what is read together
				}
				if diff := cmp.Diff(want, data); diff != "" {
					t.Errorf("%s: data: %s", name, diff)
				}
				if doc != test.doc {
					t.Errorf("%s: %s, want %s", name, doc, test.doc)
				}
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		code       registry.Code
	}{
		{"empty", ``, registry.ManifestInvalid},
		{"no object", `[]`, registry.ManifestInvalid},
		{"no JSON", `{"a":}`, registry.ManifestInvalid},
		{"two documents", `{}{}`, registry.ManifestInvalid},
		{"closed too often", `{}}`, registry.ManifestInvalid},
		{"ends in data", `{"_attachments":{"x":{"data":"QUJD`, registry.ManifestInvalid},
		{"ends in an escape", `{"_attachments":{"x":{"data":"QU\`, registry.ManifestInvalid},
		{"ends in a unit", `{"_attachments":{"x":{"data":"QU\u00`, registry.ManifestInvalid},
		{"unknown escape", `{"_attachments":{"x":{"data":"QU\x"}}}`, registry.ManifestInvalid},
		{"ends in a string", `{"a":"b`, registry.ManifestInvalid},
		{"ends behind a backslash", `{"a":"b\`, registry.ManifestInvalid},
		{"bad key", `{"\x":1}`, registry.ManifestInvalid},
		{"deep", strings.Repeat(`{"a":`, maxStack+1), registry.ManifestInvalid},
		{"large", `{"a":"` + strings.Repeat("x", maxBody), registry.TooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := scanned(strings.NewReader(test.body)); !errors.Is(err, test.code) {
				t.Errorf("error = %v, want %s", err, test.code)
			}
		})
	}
	broken := errors.New("connection lost")
	if _, _, err := scanned(io.MultiReader(strings.NewReader(`{"_attachments":{"x":{"data":"QU`), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a lost connection: %v", err)
	}
	if _, err := scan(strings.NewReader(`{"_attachments":{"x":{"data":"QUJD"}}}`), func(string, io.Reader) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an attachment that cannot be stored: %v", err)
	}
}

// TestScanSkipsWhatIsNotRead: an attachment that nobody reads is passed over.
func TestScanSkipsWhatIsNotRead(t *testing.T) {
	t.Parallel()
	o, err := scan(strings.NewReader(`{"_attachments":{"x":{"data":"QUJD","n":1}},"b":2}`), func(string, io.Reader) error { return nil })
	if got, want := string(o.raw()), `{"_attachments":{"x":{"data":"","n":1}},"b":2}`; got != want || err != nil {
		t.Errorf("scan = %s, %v, want %s", got, err, want)
	}
}

// TestScanHoldsNoData: large data needs no more memory than a little. It runs
// alone, as it measures.
func TestScanHoldsNoData(t *testing.T) {
	const size = 1 << 28
	body := io.MultiReader(strings.NewReader(`{"_attachments":{"x":{"data":"`), io.LimitReader(endless('A'), size), strings.NewReader(`"}},"name":"x"}`))
	var n int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o, err := scan(body, func(_ string, r io.Reader) (err error) {
		n, err = io.Copy(io.Discard, newDecoder(r))
		return err
	})
	runtime.ReadMemStats(&after)
	const enough = 1 << 20
	if allocated := after.TotalAlloc - before.TotalAlloc; err != nil || n != size/4*3 || allocated > enough {
		t.Errorf("%d bytes, %v, %d allocated for %s", n, err, allocated, o.raw())
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// FuzzScan: what is not taken out is what encoding/json reads, and what is
// taken out, too.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"name":"x","_attachments":{"x.tgz":{"length":3,"data":"QUJD"}}}`, `{"_attachments":{"a":{"data":"\ud83d\ude00\/"}}}`,
		`{"_attachments":[{"data":"1"}]}`, `{"_attachments":{"a":{"data":["x"],"data":"y"}}}`, `{`, `{"a":"\u12`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		doc, data, err := scanned(strings.NewReader(body))
		var whole map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &whole) != nil || whole == nil {
			if err == nil && !strings.Contains(body, "data") {
				t.Fatalf("%q passes as %s", body, doc)
			}
			return
		}
		if err != nil {
			if code := registry.Public(err).Code; code != registry.ManifestInvalid {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		var kept map[string]json.RawMessage
		if err := json.Unmarshal([]byte(doc), &kept); err != nil {
			t.Fatalf("%q left %q: %v", body, doc, err)
		}
		var attachments map[string]map[string]any
		if json.Unmarshal(whole["_attachments"], &attachments) != nil {
			return
		}
		for name := range maps.Keys(data) {
			if want, ok := attachments[name]["data"].(string); ok && want != data[name] && !strings.Contains(want, "\uFFFD") && strings.Count(body, `"data"`) == 1 {
				t.Errorf("%q: data of %q is %q, want %q", body, name, data[name], want)
			}
		}
		delete(whole, "_attachments")
		delete(kept, "_attachments")
		for k, v := range whole {
			if fmt.Sprint(string(compact(v))) != string(compact(kept[k])) {
				t.Errorf("%q: %q is %s, want %s", body, k, kept[k], v)
			}
		}
	})
}
